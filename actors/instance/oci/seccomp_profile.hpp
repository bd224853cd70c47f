#pragma once

// Which system calls a container may make: the profile that Debian's `golang-github-containers-common` ships for podman
// and CRI-O, reduced to what an OCI runtime reads. Pure.

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <boost/json/object.hpp>

#include "actors/instance/driver.hpp"

namespace prunella::actors {

/// Where Debian puts it (skopeo depends on that package).
inline constexpr std::string_view default_seccomp_path = "/usr/share/containers/seccomp.json";

/// `linux.seccomp` of an OCI runtime spec: of `profile` the rules whose conditions hold for a container with
/// `capabilities`
/// (`CAP_…`) on `architecture` (Go's word, `amd64`), which is allowed with its sub-architectures (32-bit programs).
/// Conditions of other kinds (a minimal kernel) are taken as not met. Error: invalid_request with what is wrong in the
/// profile.
std::variant<boost::json::object, driver_failure>
seccomp_section(std::string_view profile, const std::vector<std::string>& capabilities, std::string_view architecture);

} // namespace prunella::actors
