#pragma once

// A container engine of its own for a test, Podman or Docker: all that it keeps is in a folder that goes away with it, and it
// touches no network.

#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/storage/temporary_folder.hpp"

namespace prunella::tests {

class engine_service {
public:
  engine_service(const engine_service&) = delete;
  engine_service& operator=(const engine_service&) = delete;
  /// Ends all that the service started, also what a failed test left. The folder of a service that did not get to its end
  /// stays mounted nowhere.
  virtual ~engine_service() = default;

  std::string socket() const { return folder_ / "socket"; }
  pid_t pid() const { return pid_; }

  /// Ends the service as a crash does; its containers go on.
  void kill();
  /// Returns when it answers. Throws with what it printed if it does not.
  void start();

  /// Body of what the engine answers; throws when that is a refusal.
  std::string call(const std::string& method, const std::string& target, const std::string& body = {}) const;
  /// Names of containers, also of ended ones, ordered.
  std::vector<std::string> containers() const;
  /// Names of images, ordered.
  std::vector<std::string> images() const;
  /// What it says of a container under JSON pointers (`/HostConfig/Memory`), one after the other.
  std::string told(const std::string& container, const std::vector<std::string>& pointers) const;

protected:
  engine_service() = default;

  virtual std::vector<std::string> command() const = 0;
  virtual std::vector<std::string> environment() const = 0;
  /// Ends and removes all containers; says nothing if it cannot.
  void clear() noexcept;
  /// Ends what has this service's folder in its command line.
  void kill_helpers() const;
  /// Takes control groups away, lowest first: gone only if nothing is in them.
  static void remove_groups(const std::vector<std::string>& groups);

  temporary_folder folder_;

private:
  pid_t pid_ = 0;
};

class podman_service final : public engine_service {
public:
  static constexpr auto product = "Podman";
  /// It joins containers to networks that are there.
  static constexpr bool joins_networks = true;
  /// Its containers go on without it, and are known again.
  static constexpr bool keeps_containers = true;
  /// It says of each container that ran out of memory that it did.
  static constexpr bool tells_of_memory = false;

  /// Why there can be none on this machine; "" if there can.
  static std::string obstacle();

  podman_service();
  ~podman_service() override;

private:
  std::vector<std::string> command() const override;
  std::vector<std::string> environment() const override;
};

/// Without live-restore, as Docker is installed.
class docker_service final : public engine_service {
public:
  static constexpr auto product = "Docker";
  static constexpr bool joins_networks = false;
  static constexpr bool keeps_containers = false;
  static constexpr bool tells_of_memory = true;

  static std::string obstacle();

  docker_service();
  ~docker_service() override;

private:
  std::vector<std::string> command() const override;
  std::vector<std::string> environment() const override;
  std::string group() const;
};

} // namespace prunella::tests
