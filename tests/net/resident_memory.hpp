#pragma once

// What this process keeps in memory, for tests of bounds.

#include <cstddef>
#include <fstream>

#include <unistd.h>

namespace prunella::tests {

/// AddressSanitizer keeps freed memory, so there the size of the process tells nothing.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool size_tells = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool size_tells = false;
#else
inline constexpr bool size_tells = true;
#endif
#else
inline constexpr bool size_tells = true;
#endif

inline std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace prunella::tests
