#pragma once

#include <cstdint>
#include <string_view>

namespace prunella::actors {

/// FNV-1a of 32 bits: the same on every host, in every version and for ever, which `std::hash` is not. So it may be part of what
/// is handed out (positions in logs) or has to come out alike at hosts that do not ask each other (addresses of services). No
/// protection from somebody who looks for two texts with the same number.
constexpr std::uint32_t fnv1a(std::string_view text) {
  std::uint32_t hash = 2'166'136'261U;
  for (const char c : text)
    hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619U;
  return hash;
}

} // namespace prunella::actors
