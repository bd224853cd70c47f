#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

namespace prunella::actors {

/// The first `limit` bytes of a file, also of one of the kernel's that has no size. Empty if it cannot be read; what was read until
/// then if it goes away meanwhile, as files of processes and control groups do (a std::ifstream throws there).
std::string file_head(const std::string& path, std::size_t limit = 1 << 16);

/// The process number that somebody wrote into a file; 0: not yet. It may be another process's by now. Never 1: who is told to
/// end that would end the machine.
pid_t pid_in(const std::string& path);

} // namespace prunella::actors
