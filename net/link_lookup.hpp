#pragma once

// Names of peers become addresses when they are dialed, each in a thread of its own: the system's resolver may take half a
// minute, and neither the links nor another peer's name wait for it. Private to net/, but for `look_up_host`.

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/link_socket.hpp"

namespace prunella::net {

/// The numeric addresses of `name`, best first; at least one. `localhost` is loopback whatever the resolver says (RFC 6761,
/// 6.3). Blocks for as long as the resolver does. Throws std::runtime_error with a sentence.
std::vector<std::string> look_up_host(const std::string& name);

/// One lookup. Its thread ends with the resolver's answer, also when nobody waits for it any more.
class link_lookup {
public:
  using function = std::function<std::vector<std::string>(const std::string& name)>;

  /// `address`: NAME:PORT. `done` is called in the thread when there is a result.
  link_lookup(std::string address, function look_up, std::function<void()> done);

  const std::string& address() const { return result_->address; }
  bool is_done() const { return result_->is_done.load(std::memory_order_acquire); }

  /// Once done: where to connect to, best first; empty if that failed.
  const std::vector<socket_address>& found() const { return result_->found; }
  /// Once done: why it failed, a sentence.
  const std::string& problem() const { return result_->problem; }

private:
  struct result {
    std::string address;
    std::vector<socket_address> found;
    std::string problem;
    std::atomic<bool> is_done{false};
  };

  static void run(result& into, const function& look_up);

  std::shared_ptr<result> result_;
};

} // namespace prunella::net
