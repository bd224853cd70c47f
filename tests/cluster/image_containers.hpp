#pragma once

// Containers of images that agents of a test run, as the machine sees them: by their conmons, whose command lines name the
// folder of the test.

#include <sys/types.h>

#include <string>
#include <vector>

namespace prunella::tests {

struct image_container {
  std::string name; ///< tenant.application.service-N.container
  pid_t conmon = 0;
  pid_t main = 0; ///< its first process; 0: not started yet
};

/// Those of agents whose data is in or below `folder`.
std::vector<image_container> image_containers_in(const std::string& folder);

/// Takes away what dead containers left outside of files: mounts below `folder` and control groups.
void remove_container_traces(const std::string& folder);

} // namespace prunella::tests
