#pragma once

// What every fuzz target is written with. A target takes any bytes and returns 0; a crash, a report of a sanitizer, a
// time-out, too much memory or a broken `require` is a finding, and libFuzzer keeps the bytes.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace prunella::fuzz {

/// Ends the process with `rule`, which does not hold for this input.
inline void require(bool holds, const char* rule) {
  if (holds)
    return;
  std::fprintf(stderr, "broken rule: %s\n", rule);
  std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Cuts its first byte off `input`; 0 if there is none.
inline std::uint8_t take_byte(std::string_view& input) {
  if (input.empty())
    return 0;
  const auto byte = static_cast<std::uint8_t>(input.front());
  input.remove_prefix(1);
  return byte;
}

} // namespace prunella::fuzz
