#include "tools/cli/standard_streams.hpp"

#include <cerrno>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include "tools/cli/verbs.hpp"

namespace prunella::tools {

void keep_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF)
      ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); // takes the lowest free number, which is `fd`
}

int exit_code(int code, std::ostream& out, std::ostream& err) {
  errno = 0;
  out.flush();
  if (out)
    return code;
  const int cause = errno; // of this flush; 0 if an earlier write failed
  err << "prunella: standard output could not be written"
      << (cause == 0 ? std::string() : ": " + std::generic_category().message(cause))
      << "\n  fix: see where it goes; what the command changed stays changed\n";
  return code == exit_ok ? exit_failed : code;
}

} // namespace prunella::tools
