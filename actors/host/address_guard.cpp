#include "actors/host/address_guard.hpp"

#include <fcntl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include "actors/instance/spawn_plan.hpp"
#include "actors/instance/unique_fd.hpp"
#include "config/networks.hpp"

namespace prunella::actors {

namespace {

/// Until then another host has the address and told the network so. Whoever asked an address that nobody has would not
/// be refused, but ask again after a second. Longer than the time between two puts of an agent that holds it
/// (`site_address_options::refresh`): one that was put again is seen to be, however late this process wakes up.
constexpr std::chrono::milliseconds others_take_it{300};

class guarded_device final : public net::address_device {
public:
  guarded_device(std::unique_ptr<net::address_device> device, std::string name, std::vector<std::string> command,
                 std::function<void(const std::string&)> log)
    : device_(std::move(device)), name_(std::move(name)), command_(std::move(command)), log_(std::move(log)) {}

  ~guarded_device() override { dismiss(); }

  std::string put(const config::interface_address& address, const net::address_hold& hold) override {
    auto problem = device_->put(address, hold);
    if (!hold.goes_with_process)
      dismiss();
    else if (problem.empty())
      watch_over(address);
    return problem;
  }

  std::string remove(const config::interface_address& address) override {
    dismiss();
    return device_->remove(address);
  }

  std::optional<std::uint32_t> renewed_at(const config::interface_address& address) const override {
    return device_->renewed_at(address);
  }

  std::string obstacle() const override { return device_->obstacle(); }

  std::string announce(const config::interface_address& address, bool more) override {
    return device_->announce(address, more);
  }

private:
  void watch_over(const config::interface_address& address) {
    if (guard_ > 0 && ::waitpid(guard_, nullptr, WNOHANG) == 0)
      return;
    guard_ = 0;
    const auto problem = start(address.address + '/' + std::to_string(address.length));
    if (problem != problem_ && !problem.empty())
      log_(problem);
    problem_ = problem;
  }

  std::string start(const std::string& address) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
      return explain(errno);
    const unique_fd reading{ends[0]};
    unique_fd writing{ends[1]};
    auto command = command_;
    command.insert(command.end(), {name_, address});
    spawn_plan plan;
    ::posix_spawn_file_actions_adddup2(plan.files(), reading.get(), STDIN_FILENO);
    for (const int output : {STDOUT_FILENO, STDERR_FILENO}) // it may outlive who reads the agent's
      ::posix_spawn_file_actions_addopen(plan.files(), output, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addclosefrom_np(plan.files(), STDERR_FILENO + 1);
    if (const int error = plan.run(command.front(), command, {}, guard_); error != 0) {
      guard_ = 0;
      return explain(error);
    }
    pipe_ = std::move(writing);
    return {};
  }

  std::string explain(int error) const {
    return "no process that takes the site's address from " + name_ + " if this agent dies: " + std::strerror(error)
           + "; then it goes within two seconds";
  }

  /// By a signal and not by the end of the pipe, which would make it remove what is put again in a moment.
  void dismiss() {
    if (guard_ > 0) {
      ::kill(guard_, SIGKILL);
      ::waitpid(guard_, nullptr, 0);
    }
    guard_ = 0;
    pipe_.reset();
  }

  std::unique_ptr<net::address_device> device_;
  std::string name_;
  std::vector<std::string> command_;
  std::function<void(const std::string&)> log_;
  std::string problem_;
  unique_fd pipe_; ///< ends with this process
  pid_t guard_ = 0;
};

} // namespace

std::string give_up_address(net::address_device& device, const config::interface_address& address,
                            const std::function<void()>& wait) {
  const auto before = device.renewed_at(address);
  wait();
  // Whoever put it again meanwhile, the agent's successor, holds it now and has a guard of its own.
  return device.renewed_at(address) == before ? device.remove(address) : std::string{};
}

int run_address_guard(const std::vector<std::string>& arguments) {
  const auto address = arguments.size() == 2 ? config::parse_interface_address(arguments[1]) : std::nullopt;
  if (!address)
    return 2;
  char byte = 0;
  for (ssize_t got = 1; got > 0 || (got < 0 && errno == EINTR);)
    got = ::read(STDIN_FILENO, &byte, 1);
  const auto device = net::make_address_device(arguments[0]);
  return give_up_address(*device, *address, [] { std::this_thread::sleep_for(others_take_it); }).empty() ? 0 : 1;
}

std::unique_ptr<net::address_device> make_guarded_device(std::unique_ptr<net::address_device> device, std::string name,
                                                         std::vector<std::string> command,
                                                         std::function<void(const std::string&)> log) {
  return std::make_unique<guarded_device>(std::move(device), std::move(name), std::move(command), std::move(log));
}

} // namespace prunella::actors
