#pragma once

// The wires of memory_links: who is on, which pairs are connected, and the fate of each frame. Private to net/.

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <utility>

#include <caf/actor.hpp>

#include "net/link_frame.hpp"
#include "net/memory_links.hpp"

namespace prunella::net {

// From the network to a host's actor.

struct memory_up {
  std::string host;
  std::uint64_t link = 0;
  std::uint64_t incarnation = 0;

  PRUNELLA_FIELDS(memory_up, host, link, incarnation)
};

struct memory_down {
  std::string host;
  std::uint64_t link = 0;
  std::uint64_t epoch = 0; ///< of the pair; another by now: it was healed in time
  std::string reason;

  PRUNELLA_FIELDS(memory_down, host, link, epoch, reason)
};

struct memory_frame {
  std::string host;
  std::uint64_t link = 0;
  byte_buffer bytes;

  PRUNELLA_FIELDS(memory_frame, host, link, bytes)
};

class memory_network_core {
public:
  memory_network_core(std::uint64_t seed, memory_faults faults) : random_(seed), faults_(faults) {}

  std::uint64_t next_life();
  void join(const std::string& host, caf::actor actor, std::uint64_t incarnation, std::set<std::string> members,
            std::chrono::milliseconds detection);
  void set_members(const std::string& host, std::uint64_t incarnation, std::set<std::string> members);
  /// `polite`: its peers learn it at once.
  void leave(const std::string& host, std::uint64_t incarnation, bool polite);
  /// Whether a `memory_up` or `memory_down` still holds when it arrives.
  bool confirm_up(const std::string& self, const memory_up& up);
  bool confirm_down(const std::string& self, const memory_down& down);
  void transmit(const std::string& from, const std::string& to, std::uint64_t link, byte_buffer bytes);

  void set_faults(memory_faults faults);
  void cut(const std::string& a, const std::string& b);
  void heal(const std::string& a, const std::string& b);
  void power_off(const std::string& host);
  std::set<std::string> hosts() const;
  std::set<std::pair<std::string, std::string>> cuts() const;

  std::atomic<std::uint64_t> sent{0};
  std::atomic<std::uint64_t> delivered{0};

private:
  using pair_key = std::pair<std::string, std::string>;
  struct host_entry {
    caf::actor actor;
    std::uint64_t incarnation = 0;
    std::set<std::string> members;
    std::chrono::milliseconds detection{0};
  };
  struct pair_entry {
    bool up = false;
    bool cut = false;
    std::uint64_t link = 0;
    std::uint64_t epoch = 0;
    std::map<std::string, std::chrono::steady_clock::time_point> last_arrival; ///< by sender
  };

  static pair_key key(const std::string& a, const std::string& b) { return a < b ? pair_key{a, b} : pair_key{b, a}; }
  bool connected(const pair_key& pair) const;
  void evaluate(const pair_key& pair, const std::string& reason, bool at_once);
  void evaluate_all(const std::string& host, const std::string& reason, bool at_once);
  std::chrono::microseconds draw_delay();
  bool draw(double probability);

  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  memory_faults faults_;
  std::uint64_t lives_ = 0;
  std::uint64_t links_ = 0;
  std::map<std::string, host_entry> hosts_;
  std::map<pair_key, pair_entry> pairs_;
};

} // namespace prunella::net
