#include "actors/instance/container_input.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace prunella::actors {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t longest_packet = 8 * 1024; // conmon reads up to 32 KiB at once, and drops what a packet has beyond

/// The path of a socket may be longer than an address takes: it is reached through its folder.
unique_fd connect_in(const fs::path& folder) {
  const unique_fd place{::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  unique_fd made{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto path = "/proc/self/fd/" + std::to_string(place.get()) + "/attach";
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size(), sizeof address.sun_path - 1));
  if (!place || !made || ::connect(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return {};
  return made;
}

} // namespace

std::string container_input_path(const std::string& folder) { return folder + "/input"; }

container_input::container_input(std::string folder) : folder_{std::move(folder)} {
  std::error_code known_later; // the driver says why the folder cannot be made
  fs::create_directories(folder_, known_later);
  const auto path = container_input_path(folder_);
  ::unlink(path.c_str());
  if (::mkfifo(path.c_str(), 0600) == 0)
    pipe_ = unique_fd{::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC)}; // so that its reader never finds it without a writer
}

/// True once it is known who reads.
bool container_input::attach() {
  if (socket_)
    return true;
  std::error_code none;
  if (!fs::exists(folder_ + "/run", none))
    return true; // a plain process
  for (const auto& start : fs::directory_iterator(folder_ + "/run", none))
    if (socket_ = connect_in(start.path()); socket_)
      return true;
  return false;
}

std::size_t container_input::write(std::string_view bytes) {
  if (!attach())
    return 0;
  const int fd = socket_ ? socket_.get() : pipe_.get();
  std::size_t taken = 0;
  while (taken < bytes.size()) {
    const auto part = bytes.substr(taken, longest_packet);
    const auto n = socket_ ? ::send(fd, part.data(), part.size(), MSG_NOSIGNAL) : ::write(fd, part.data(), part.size());
    if (n > 0)
      taken += static_cast<std::size_t>(n);
    else if (n < 0 && errno == EINTR)
      continue;
    else
      return n < 0 && errno == EAGAIN ? taken : bytes.size();
  }
  return taken;
}

void container_input::close() {
  if (attach() && socket_) // conmon ends the input when one who came has no more to say
    ::shutdown(socket_.get(), SHUT_WR);
  pipe_.reset();
}

void container_input::drain() {
  std::array<char, 40 * 1024> packet; // its longest ones have 32 KiB; it is in the log
  while (socket_ && ::recv(socket_.get(), packet.data(), packet.size(), 0) > 0)
    continue;
}

} // namespace prunella::actors
