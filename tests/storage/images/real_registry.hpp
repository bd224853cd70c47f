#pragma once

// Debian's docker-registry on a port of loopback that the kernel chose, ended with the test.

#include <string>
#include <sys/types.h>

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

private:
  void stop();

  pid_t pid_ = -1;
  int log_ = -1;
  std::string address_;
};

} // namespace prunella::tests
