#pragma once

// Values with PRUNELLA_FIELDS as bytes and back: cereal's portable binary layout (one byte 1 for little endian, then
// the fields) over a string, without the streams. cereal's own archives cannot be bounded: a damaged length makes them
// allocate whatever it says. Here a length beyond what is left of the input is refused before anything is allocated.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <cereal/cereal.hpp>
#include <cereal/types/array.hpp>
#include <cereal/types/chrono.hpp>
#include <cereal/types/map.hpp>
#include <cereal/types/set.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/vector.hpp>

namespace prunella::storage {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the stored layout is little endian; swap bytes here first");

/// Appends to a string.
class bytes_output_archive : public cereal::OutputArchive<bytes_output_archive, cereal::AllowEmptyClassElision> {
public:
  explicit bytes_output_archive(std::string& out)
      : cereal::OutputArchive<bytes_output_archive, cereal::AllowEmptyClassElision>(this), out_(out) {}

  void write(const void* data, std::size_t size) { out_.append(static_cast<const char*>(data), size); }

private:
  std::string& out_;
};

/// Reads from a view; throws cereal::Exception when the input is too short for what is asked of it.
class bytes_input_archive : public cereal::InputArchive<bytes_input_archive, cereal::AllowEmptyClassElision> {
public:
  explicit bytes_input_archive(std::string_view in)
      : cereal::InputArchive<bytes_input_archive, cereal::AllowEmptyClassElision>(this), in_(in) {}

  void read(void* data, std::size_t size) {
    if (size > in_.size())
      throw cereal::Exception("input too short");
    if (size > 0)
      std::memcpy(data, in_.data(), size);
    in_.remove_prefix(size);
  }

  std::size_t left() const { return in_.size(); }

private:
  std::string_view in_;
};

// cereal finds these by argument-dependent lookup.

template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
void CEREAL_SAVE_FUNCTION_NAME(bytes_output_archive& archive, const T& x) {
  archive.write(&x, sizeof(x));
}

template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
void CEREAL_LOAD_FUNCTION_NAME(bytes_input_archive& archive, T& x) {
  if constexpr (std::is_same_v<T, bool>) {
    // Any other byte in a bool is undefined behaviour, not merely a wrong value.
    std::uint8_t byte = 0;
    archive.read(&byte, 1);
    if (byte > 1)
      throw cereal::Exception("a bool is neither 0 nor 1");
    x = byte == 1;
  } else {
    archive.read(&x, sizeof(x));
  }
}

template <class T>
void CEREAL_SAVE_FUNCTION_NAME(bytes_output_archive& archive, const cereal::BinaryData<T>& x) {
  archive.write(x.data, static_cast<std::size_t>(x.size));
}

template <class T>
void CEREAL_LOAD_FUNCTION_NAME(bytes_input_archive& archive, cereal::BinaryData<T>& x) {
  archive.read(x.data, static_cast<std::size_t>(x.size));
}

template <class T>
void CEREAL_SAVE_FUNCTION_NAME(bytes_output_archive& archive, const cereal::NameValuePair<T>& x) {
  archive(x.value);
}

template <class T>
void CEREAL_LOAD_FUNCTION_NAME(bytes_input_archive& archive, cereal::NameValuePair<T>& x) {
  archive(x.value);
}

template <class T>
void CEREAL_SAVE_FUNCTION_NAME(bytes_output_archive& archive, const cereal::SizeTag<T>& x) {
  archive(static_cast<cereal::size_type>(x.size));
}

/// Every element of a container takes at least one byte, so a larger count than bytes left is damage.
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(bytes_input_archive& archive, cereal::SizeTag<T>& x) {
  cereal::size_type size = 0;
  archive(size);
  if (size > archive.left())
    throw cereal::Exception("a length is larger than the input");
  x.size = static_cast<std::decay_t<T>>(size);
}

/// Grows with the elements that were read: cereal's own makes room for as many as the bytes claim, and an element in memory
/// can be hundreds of times larger than the one byte that it takes to claim it.
template <class T, class Allocator, std::enable_if_t<!std::is_arithmetic_v<T>, int> = 0>
void CEREAL_LOAD_FUNCTION_NAME(bytes_input_archive& archive, std::vector<T, Allocator>& x) {
  cereal::size_type size = 0;
  archive(cereal::make_size_tag(size));
  x.clear();
  for (; size > 0; --size)
    archive(x.emplace_back());
}

/// What `from_bytes` reads unless told otherwise.
inline constexpr std::size_t default_max_bytes = 64u << 20;

/// `x` as bytes. Equal values give equal bytes on every machine.
template <class T>
std::string to_bytes(const T& x) {
  std::string out;
  bytes_output_archive archive(out);
  archive(std::uint8_t{1}, x);
  return out;
}

/// Sets `out` to what `bytes` says; false, and `out` as it was, if they are not exactly one `T`: too short, garbage
/// behind it, longer than `max_bytes`. Never throws for bad input. Memory grows with what was read, whatever lengths the
/// bytes claim. Enumerators are not checked against their range: that is the reader of the value's to do.
template <class T>
bool from_bytes(std::string_view bytes, T& out, std::size_t max_bytes = default_max_bytes) {
  if (bytes.size() > max_bytes)
    return false;
  try {
    bytes_input_archive archive(bytes);
    std::uint8_t layout = 0;
    T loaded{};
    archive(layout);
    if (layout != 1)
      return false;
    archive(loaded);
    if (archive.left() != 0)
      return false;
    out = std::move(loaded);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

} // namespace prunella::storage

CEREAL_SETUP_ARCHIVE_TRAITS(prunella::storage::bytes_input_archive, prunella::storage::bytes_output_archive)
