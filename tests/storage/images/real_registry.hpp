#pragma once

// Debian's docker-registry on a port of loopback that the kernel chose, ended with the test.

#include <string>
#include <sys/types.h>

#include "tests/storage/images/image_builder.hpp"

namespace prunella::tests {

class real_registry {
public:
  /// Keeps its data in `folder`. With `htpasswd` (a line `user:bcrypt`) it wants that password. Throws when it does not
  /// start.
  explicit real_registry(const std::string& folder, const std::string& htpasswd = {});
  real_registry(const real_registry&) = delete;
  real_registry& operator=(const real_registry&) = delete;
  ~real_registry();

  /// `127.0.0.1:PORT`
  const std::string& address() const { return address_; }

  /// Gives it `image` as `NAME:TAG`, by skopeo; the whole name of it. Throws when that fails.
  std::string push(const test_image& image, const std::string& name) const;

private:
  void stop();

  std::string folder_;
  pid_t pid_ = -1;
  int log_ = -1;
  std::string address_;
};

} // namespace prunella::tests
