#pragma once

// How storage fails. Every public function of this folder returns a `result`: none throws for an operating error, and
// the sentence in it is fit for a person: what happened, to which file, and what to do next.

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace prunella::storage {

enum class storage_errc : std::uint8_t {
  /// The disk has no room left (or the quota is used up); nothing of the failed call was stored.
  disk_full = 1,
  /// The operating system failed a read, write or sync. What reached the disk is unknown: close and open again.
  io_failed = 2,
  /// Stored bytes are not what was written: a checksum, the chain or the database's own structure is broken.
  damaged = 3,
  /// The file or folder belongs to another site, host or member, or is not ours at all.
  foreign = 4,
  /// Written by a newer version of Prunella than this one.
  newer_format = 5,
  /// Written by a version of Prunella older than this one can read.
  older_format = 6,
  /// Another process holds it; the sentence names its process id.
  locked = 7,
  /// The path is missing, not of the right type, or this user may not use it.
  inaccessible = 8,
  /// The caller broke a contract, for example by a gap in the indexes; nothing was stored.
  invalid_argument = 9,
  /// Nothing of that name is there: an image, a tag, a layer.
  not_found = 10,
  /// A document from outside (manifest, image configuration, reference) is not what its format demands.
  malformed = 11,
  /// Well formed, but not for this machine or this version: platform, media type, algorithm.
  unsupported = 12,
  /// Bytes from outside are not those that their digest and size promise; they were thrown away.
  unverified = 13,
  /// It would break a limit or leave its folder: refused, as if it were an attack.
  refused = 14,
  /// The other side does not answer, or the connection was cut. What had arrived whole is kept.
  unreachable = 15,
  /// The other side wants credentials, or other ones.
  denied = 16,
  /// The other side answered and then sent nothing more for too long. What had arrived whole is kept.
  stalled = 17,
};

/// The only oracle for "try the same call again later". All others need a person, a reopen or a fix in the code.
constexpr bool is_retryable(storage_errc code) {
  return code == storage_errc::disk_full || code == storage_errc::unreachable || code == storage_errc::stalled;
}

/// The name of `code` as logs and problem documents carry it.
std::string_view to_text(storage_errc code);

struct storage_error {
  storage_errc code = storage_errc::io_failed;
  std::string message;
};

/// A `T`, or why there is none. `value()` and `error()` must match `ok()`.
template <class T>
class [[nodiscard]] result {
public:
  result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  result(storage_error error) : content_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return content_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return std::get<0>(content_); }
  const T& value() const& { return std::get<0>(content_); }
  T&& value() && { return std::get<0>(std::move(content_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }

  const storage_error& error() const { return std::get<1>(content_); }

private:
  std::variant<T, storage_error> content_;
};

/// For where an error ends what was begun: throws std::runtime_error with its sentence.
template <class T>
T or_throw(result<T> outcome) {
  if (!outcome.ok())
    throw std::runtime_error(outcome.error().message);
  return std::move(outcome).value();
}

/// Done, or why not.
template <>
class [[nodiscard]] result<void> {
public:
  result() = default;
  result(storage_error error) : failed_(true), error_(std::move(error)) {}

  bool ok() const { return !failed_; }
  explicit operator bool() const { return ok(); }
  const storage_error& error() const { return error_; }

private:
  bool failed_ = false;
  storage_error error_;
};

} // namespace prunella::storage
