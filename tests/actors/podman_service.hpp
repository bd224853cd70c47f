#pragma once

// A Podman of its own for a test: all that it keeps is in a folder that goes away with it, and it touches no network.

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "storage/images/child_process.hpp"
#include "tests/storage/temporary_folder.hpp"

namespace prunella::tests {

class podman_service {
public:
  /// Why there can be none on this machine; "" if there can.
  static std::string obstacle();

  podman_service();
  podman_service(const podman_service&) = delete;
  podman_service& operator=(const podman_service&) = delete;
  /// Ends it and removes its containers, also those that a failed test left.
  ~podman_service();

  std::string socket() const { return folder_ / "socket"; }

  /// Ends the service as a crash does; its containers go on.
  void kill();
  void start();

  /// `podman ARGUMENTS`, on what this service keeps.
  storage::child_end run(const std::vector<std::string>& arguments) const;
  /// Names of containers, also of ended ones, ordered.
  std::vector<std::string> containers() const;

private:
  std::vector<std::string> command(const std::vector<std::string>& arguments) const;
  std::vector<std::string> environment() const;

  temporary_folder folder_;
  pid_t pid_ = 0;
};

} // namespace prunella::tests
