#include "actors/instance/process_watcher.hpp"
#include "actors/instance/thread_without_signals.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <limits>
#include <system_error>

namespace prunella::actors {

namespace {

constexpr std::uint64_t stop_key = std::numeric_limits<std::uint64_t>::max();

bool add(int epoll, int fd, std::uint64_t key) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLONESHOT;
  event.data.u64 = key;
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

} // namespace

process_watcher::process_watcher(std::function<void(std::uint64_t)> on_end)
    : on_end_{std::move(on_end)}, epoll_{::epoll_create1(EPOLL_CLOEXEC)}, stop_{::eventfd(0, EFD_CLOEXEC)} {
  if (!epoll_ || !stop_ || !add(epoll_.get(), stop_.get(), stop_key))
    throw std::system_error{errno, std::generic_category(), "processes cannot be watched (epoll, eventfd)"};
  thread_ = thread_without_signals([this] { run(); });
}

process_watcher::~process_watcher() {
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

bool process_watcher::watch(int pidfd, std::uint64_t key) {
  return add(epoll_.get(), pidfd, key);
}

void process_watcher::run() {
  std::array<epoll_event, 64> events{};
  for (;;) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const std::uint64_t key = events[static_cast<std::size_t>(i)].data.u64;
      if (key == stop_key)
        return;
      on_end_(key);
    }
  }
}

} // namespace prunella::actors
