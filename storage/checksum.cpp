#include "storage/checksum.hpp"

#include <algorithm>

namespace prunella::storage {

checksum_builder& checksum_builder::begin() {
  hash_.begin();
  return *this;
}

checksum_builder& checksum_builder::add(std::uint64_t number) {
  std::array<char, 8> bytes{};
  for (auto& byte : bytes) {
    byte = static_cast<char>(number & 0xff);
    number >>= 8;
  }
  hash_.add({bytes.data(), bytes.size()});
  return *this;
}

checksum_builder& checksum_builder::add(std::string_view bytes) {
  add(std::uint64_t{bytes.size()});
  hash_.add(bytes);
  return *this;
}

checksum checksum_builder::finish() {
  const auto full = hash_.finish();
  checksum sum{};
  std::copy_n(full.begin(), sum.size(), sum.begin());
  return sum;
}

} // namespace prunella::storage
