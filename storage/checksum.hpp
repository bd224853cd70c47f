#pragma once

// The checksum of stored rows: SHA-256 cut to 128 bits. Against rot and torn writes 32 bits would do; a chain of strong
// ones also makes two logs comparable by their last checksum.

#include <array>
#include <cstdint>
#include <string_view>

#include "storage/sha256.hpp"

namespace prunella::storage {

using checksum = std::array<unsigned char, 16>;

inline std::string_view as_bytes(const checksum& sum) {
  return {reinterpret_cast<const char*>(sum.data()), sum.size()};
}

/// Computes one checksum after the other; not thread safe. Numbers are hashed as eight little-endian bytes and texts
/// are preceded by their length, so no two different sequences of parts give the same input.
class checksum_builder {
public:
  checksum_builder& begin();
  checksum_builder& add(std::uint64_t number);
  checksum_builder& add(std::string_view bytes);
  checksum finish();

private:
  sha256 hash_;
};

} // namespace prunella::storage
