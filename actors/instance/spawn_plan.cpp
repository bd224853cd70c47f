#include "actors/instance/spawn_plan.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>

namespace prunella::actors {

namespace {

std::vector<char*> to_pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const auto& text : texts)
    pointers.push_back(const_cast<char*>(text.c_str())); // posix_spawn's signature predates const; it does not write
  pointers.push_back(nullptr);
  return pointers;
}

} // namespace

spawn_plan::spawn_plan() {
  ::posix_spawn_file_actions_init(&files_);
  ::posix_spawnattr_init(&attributes_);
  ::posix_spawn_file_actions_addopen(&files_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  sigset_t all;
  sigset_t none;
  sigfillset(&all);
  sigemptyset(&none);
  ::posix_spawnattr_setsigdefault(&attributes_, &all);
  ::posix_spawnattr_setsigmask(&attributes_, &none);
  ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

spawn_plan::~spawn_plan() {
  ::posix_spawnattr_destroy(&attributes_);
  ::posix_spawn_file_actions_destroy(&files_);
}

int spawn_plan::run(const std::string& program, const std::vector<std::string>& command,
                    const std::vector<std::string>& environment, pid_t& pid) const {
  return ::posix_spawn(&pid, program.c_str(), &files_, &attributes_, to_pointers(command).data(),
                       to_pointers(environment).data());
}

} // namespace prunella::actors
