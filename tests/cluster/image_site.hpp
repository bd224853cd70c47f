#pragma once

// A site whose hosts all have the image `busybox`.

#include <string>

#include "config/spec.hpp"
#include "tests/cluster/site_processes.hpp"

namespace prunella::tests {

/// Why this machine cannot run containers of images; "" if it can.
std::string image_site_obstacle();

/// Gives every host the image, as after the site copied it, and leaves all hosts running.
void give_image(site_processes& site);

/// `simple_application` of the image, running `script` in its shell.
config::application_spec image_application(const std::string& name, const std::string& script, unsigned replicas = 1);

} // namespace prunella::tests
