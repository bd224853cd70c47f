#include "actors/instance/file_head.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "actors/instance/unique_fd.hpp"

namespace prunella::actors {

std::string file_head(const std::string& path, std::size_t limit) {
  constexpr std::size_t step = 4096;
  const unique_fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  std::string content;
  while (file && content.size() < limit) {
    const auto size = content.size();
    content.resize(std::min(limit, size + step));
    const ssize_t n = ::read(file.get(), content.data() + size, content.size() - size);
    content.resize(size + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (n <= 0)
      break;
  }
  return content;
}

pid_t pid_in(const std::string& path) {
  const auto text = file_head(path);
  pid_t pid = 0;
  std::from_chars(text.data(), text.data() + text.size(), pid);
  return pid > 1 ? pid : 0;
}

} // namespace prunella::actors
