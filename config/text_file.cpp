#include "config/text_file.hpp"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace prunella::config {

namespace {

class open_file {
public:
  // O_NONBLOCK: the open of a pipe that nobody writes into would wait for ever.
  explicit open_file(const std::string& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) {}
  ~open_file() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;

  int get() const { return fd_; }

private:
  int fd_;
};

std::string system_error_text(int code) {
  const auto text = "cannot be read: " + std::generic_category().message(code);
  if (code == ENOENT || code == ENOTDIR)
    return text + "; check the name";
  if (code == EACCES || code == EPERM)
    return text + "; run as the user that may read it, or change its mode";
  return text + "; check the disk and what is mounted there";
}

std::string too_large(std::size_t max_bytes) {
  return "is larger than " + std::to_string(max_bytes) + " bytes; split it, or name another file";
}

/// Empty for what can be read to its end.
std::string refuse_kind(const struct stat& status, std::size_t max_bytes) {
  if (S_ISDIR(status.st_mode))
    return "is a folder; name a file in it";
  if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
    return "is a device; name a file";
  if (S_ISSOCK(status.st_mode))
    return "is a socket; name a file";
  if (S_ISREG(status.st_mode) && static_cast<std::size_t>(status.st_size) > max_bytes)
    return too_large(max_bytes);
  return {};
}

/// Empty: there is something to read, or the end.
std::string wait_for_bytes(int fd, std::chrono::milliseconds patience) {
  pollfd wait{fd, POLLIN, 0};
  int ready = -1;
  do
    ready = ::poll(&wait, 1, static_cast<int>(patience.count()));
  while (ready < 0 && errno == EINTR);
  return ready != 0 ? std::string{}
                    : "gave nothing to read for " + std::to_string(patience.count()) + " ms; name a file, or see what " +
                          "should write into it";
}

} // namespace

text_file read_text_file(const std::string& path, const text_file_options& options) {
  const auto failed = [](std::string error) { return text_file{{}, std::move(error)}; };
  if (path.empty())
    return failed("is no name of a file; name one");
  const open_file file(path);
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0)
    // ENXIO: what cannot be opened for reading without a partner, a socket above all.
    return failed(errno == ENXIO ? "is a socket or a device; name a file" : system_error_text(errno));
  if (auto refused = refuse_kind(status, options.max_bytes); !refused.empty())
    return failed(std::move(refused));
  text_file result;
  char bytes[16'384];
  while (true) {
    const auto got = ::read(file.get(), bytes, sizeof bytes);
    if (got == 0)
      break;
    if (got < 0 && errno == EAGAIN) {
      if (auto silent = wait_for_bytes(file.get(), options.patience); !silent.empty())
        return failed(std::move(silent));
      continue;
    }
    if (got < 0 && errno != EINTR)
      return failed(system_error_text(errno));
    if (got > 0)
      result.text.append(bytes, static_cast<std::size_t>(got));
    if (result.text.size() > options.max_bytes)
      return failed(too_large(options.max_bytes));
  }
  if (result.text.empty() && S_ISFIFO(status.st_mode))
    return failed("is a pipe that nobody writes into; name a file");
  return result;
}

} // namespace prunella::config
