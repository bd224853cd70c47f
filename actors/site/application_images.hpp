#pragma once

// The images that an application names. Pure.

#include <string>
#include <vector>

#include "config/spec.hpp"

namespace prunella::actors {

/// Complete references, in order, each once; what is no reference is left out, as no host could fetch it.
std::vector<std::string> images_of(const config::application_spec& application);
std::vector<std::string> images_of(const config::service_spec& service);

} // namespace prunella::actors
