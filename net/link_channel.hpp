#pragma once

// What the proxies of one peer, the answers to it, and the broker share: the bounded queues, the requests that wait for an
// answer, and whether the peer can be reached. Private to net/. Thread-safe; every answer to a caller is sent outside the lock.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_control_block.hpp>
#include <caf/message_id.hpp>

#include "config/fields.hpp"
#include "net/link_errors.hpp"
#include "net/link_options.hpp"
#include "net/link_queue.hpp"

namespace prunella::net {

/// Counted by callers' threads and the broker.
struct link_shared_counters {
  std::atomic<std::uint64_t> sends_dropped{0};
  std::atomic<std::uint64_t> requests_failed{0};
  std::atomic<std::uint64_t> answers_late{0};
};

/// Wakes the broker once per burst, however many messages are queued; of a thread with a `send_burst`, when that ends.
class link_wakeup : public std::enable_shared_from_this<link_wakeup> {
public:
  /// Returns a number for `tick`.
  std::uint64_t attach(caf::actor broker);
  void detach();
  void wake();
  /// Sends the broker a `link_tick`; false if it is not the one of that `attach` any more.
  bool tick(std::uint64_t attached);
  /// Whether the broker has nothing to watch closely; told by it.
  void set_quiet(bool quiet) { quiet_.store(quiet); }
  bool is_quiet() const { return quiet_.load(); }
  /// The broker starts to look: whatever is queued from here on wakes it again.
  void seen() { signalled_.store(false); }

private:
  std::mutex mutex_;
  caf::actor broker_;
  std::uint64_t attached_ = 0;
  std::atomic<bool> signalled_{false};
  std::atomic<bool> quiet_{false};
};

/// Sent by `link_wakeup::tick`.
struct link_tick {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(link_tick, unused)
};

/// To the ticker.
struct link_hurry {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(link_hurry, unused)
};

/// Sent by `link_wakeup::wake`.
struct link_wake {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(link_wake, unused)
};

/// Bytes of messages of one connection that local actors are done with; the broker grants them to the peer again.
class link_consumption {
public:
  link_consumption(std::shared_ptr<link_wakeup> wakeup, std::uint32_t threshold)
    : wakeup_(std::move(wakeup)), threshold_(threshold) {}

  void add(std::uint32_t bytes) {
    const auto before = bytes_.fetch_add(bytes);
    if (before < threshold_ && before + bytes >= threshold_)
      wakeup_->wake();
  }
  std::uint32_t take() { return bytes_.exchange(0); }

private:
  std::shared_ptr<link_wakeup> wakeup_;
  std::uint32_t threshold_;
  std::atomic<std::uint32_t> bytes_{0};
};

/// Who waits for an answer.
struct link_asker {
  caf::strong_actor_ptr actor;
  caf::message_id mid;

  void fail(const caf::error& reason) const;
  void answer(caf::message content) const;
  explicit operator bool() const { return actor != nullptr; }
};

class link_channel {
public:
  using time_point = std::chrono::steady_clock::time_point;

  link_channel(std::string host, const link_limits& limits, const link_timeouts& timeouts,
               std::shared_ptr<link_wakeup> wakeup, std::shared_ptr<link_shared_counters> counters);

  const std::string& host() const { return host_; }

  // Callers, any thread.

  /// Queues a message; dropped and counted if that cannot be.
  void send(std::string_view target, std::string_view payload);
  /// Queues a request; `asker` gets an answer or an error in any case.
  void request(std::string_view target, std::string_view payload, link_asker asker, time_point now);
  /// Queues the answer to request `id` that came on connection `link`; nothing happens if that one is gone.
  void answer(std::uint64_t link, std::uint64_t id, std::string_view payload);
  void refuse(std::uint64_t link, std::uint64_t id, const caf::error& reason);

  // The broker.

  /// From here on messages wait for a connection: until `up` or `unreachable`, at most for `patience`.
  void connecting(time_point now);
  /// No link, and callers learn it at once. `reason`: a sentence.
  void unreachable(const std::string& reason);
  void up(std::uint64_t link, std::uint64_t incarnation, std::uint32_t max_frame);
  /// The link ended: what was sent fails with `sent`, what was not with `host_unreachable`. Then as after `connecting`.
  void down(link_errc sent, const std::string& reason, time_point now);

  /// Appends frames to `out` up to about `max_bytes`, answers first.
  void take(byte_buffer& out, std::size_t max_bytes, send_window& credit);
  bool has_waiting() const { return waiting_.load(); }

  /// Who asked request `id`; empty if nobody waits any more. Frees its slot.
  link_asker complete(std::uint64_t id);
  enum class slot { taken, none_free, duplicate };
  /// A request of the peer came in.
  slot begin_request(std::uint64_t id, time_point now, std::uint32_t slots);

  /// Fails what waits for too long. Returns how many requests that were sent gave their slot back.
  std::uint32_t expire(time_point now);

  struct view {
    std::string state;
    std::string reason;
    std::uint64_t waiting_bytes = 0;
    std::uint64_t unanswered = 0;
    std::uint64_t in_flight = 0;
  };
  view snapshot() const;

private:
  enum class phase { connecting, up, down };
  struct pending {
    link_asker asker;
    time_point deadline;
    bool sent = false;
  };

  /// Why a message of that size cannot be queued now; no error if it can. With the lock held.
  caf::error admit(std::string_view target, std::size_t payload_bytes, bool request) const;
  std::vector<link_asker> drop_all_unsent();
  void fail_all(const std::vector<link_asker>& askers, link_errc code, const std::string& text);
  std::string sentence(std::string_view what) const;
  bool finish_request(std::uint64_t link, std::uint64_t id);
  byte_buffer& failure_buffer() { return answers_.buffer(max_control_bytes + 4); }
  void mark_waiting();

  const std::string host_;
  const link_limits limits_;
  const link_timeouts timeouts_;
  const std::shared_ptr<link_wakeup> wakeup_;
  const std::shared_ptr<link_shared_counters> counters_;

  mutable std::mutex mutex_;
  phase phase_ = phase::down;
  time_point connecting_since_{};
  std::string down_reason_ = "it is not a member of this site, as far as this host knows";
  std::uint64_t link_ = 0;
  std::uint64_t incarnation_ = 0;
  std::uint32_t peer_max_frame_ = 0;
  link_queue messages_;
  link_queue answers_;
  std::map<std::uint64_t, pending> pending_; ///< by id, so also by deadline
  std::uint64_t last_id_ = 0;
  std::unordered_map<std::uint64_t, time_point> in_flight_; ///< requests of the peer on `link_`, with their deadline
  std::atomic<bool> waiting_{false};
};

} // namespace prunella::net
