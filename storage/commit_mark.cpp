#include "storage/commit_mark.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include "storage/cereal_bytes.hpp"
#include "storage/checksum.hpp"

namespace prunella::storage {

namespace {

constexpr std::string_view magic = "prunmark";
constexpr std::size_t mark_bytes = 8 + 8 + 8 + 16;

std::uint64_t number_at(std::string_view bytes, std::size_t offset) {
  std::uint64_t number = 0;
  std::memcpy(&number, bytes.data() + offset, sizeof(number));
  return number;
}

checksum sum_of(const mark_position& position) {
  return checksum_builder().begin().add(magic).add(position.revision).add(position.last_index).finish();
}

} // namespace

std::string encode_mark(const mark_position& position) {
  std::string bytes(magic);
  bytes.append(reinterpret_cast<const char*>(&position.revision), sizeof(position.revision));
  bytes.append(reinterpret_cast<const char*>(&position.last_index), sizeof(position.last_index));
  return bytes.append(as_bytes(sum_of(position)));
}

std::optional<mark_position> decode_mark(std::string_view bytes) {
  if (bytes.size() != mark_bytes || bytes.substr(0, magic.size()) != magic)
    return std::nullopt;
  const mark_position position{number_at(bytes, 8), number_at(bytes, 16)};
  if (bytes.substr(24) != as_bytes(sum_of(position)))
    return std::nullopt;
  return position;
}

result<commit_mark> commit_mark::open(const std::string& path) {
  unique_fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd)
    return os_error(errno, "open " + path);
  return commit_mark(std::move(fd));
}

std::optional<mark_position> commit_mark::read() const {
  std::array<char, mark_bytes> bytes{};
  const auto got = ::pread(fd_.get(), bytes.data(), bytes.size(), 0);
  if (got != static_cast<ssize_t>(mark_bytes))
    return std::nullopt;
  return decode_mark({bytes.data(), bytes.size()});
}

void commit_mark::write(const mark_position& position) {
  const auto bytes = encode_mark(position);
  // A mark that could not be written lags; the commit itself stands. Nothing to report.
  if (::pwrite(fd_.get(), bytes.data(), bytes.size(), 0) < 0)
    errno = 0;
}

} // namespace prunella::storage
