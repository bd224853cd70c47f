#pragma once

// For which machines an image is built. Pure, but for `this_platform`.

#include <string>
#include <string_view>

#include "config/fields.hpp"

namespace prunella::storage {

/// In Go's words, as OCI has them: `linux`, `amd64` or `arm64`, and for some architectures a variant (`v8`).
struct platform {
  std::string os;
  std::string architecture;
  std::string variant;

  /// `linux/arm64/v8`
  std::string text() const { return os + "/" + architecture + (variant.empty() ? "" : "/" + variant); }

  PRUNELLA_FIELDS(platform, os, architecture, variant)
};

/// What this program was compiled for; it runs nowhere else.
inline platform this_platform() {
#if defined(__x86_64__)
  return {"linux", "amd64", ""};
#elif defined(__aarch64__)
  return {"linux", "arm64", "v8"};
#elif defined(__arm__)
  return {"linux", "arm", "v7"};
#else
#error "name this architecture as OCI images do (Go's GOARCH)"
#endif
}

/// Whether an image for `offered` runs on a host of `wanted`. An amd64 variant above v1 needs a newer processor than
/// a host promises; arm64 means v8; a 32-bit arm host runs its own variant and those below it.
bool runs_on(const platform& offered, const platform& wanted);

/// The platform that `text` (`platform::text`) is of; parts that are not there are empty.
platform platform_of(std::string_view text);

} // namespace prunella::storage
