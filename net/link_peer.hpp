#pragma once

// What one host knows and decides about one peer: when to dial, which connection to keep, which lives are over. A value
// that takes `now` and its random numbers from outside.
//
// One connection per pair is kept. Both sides dial; who accepts decides, and the dialer learns it from the hello it gets:
//  - a connection of another life of the peer replaces the old life's; a life that was succeeded never comes back;
//  - the peer's hello names the last connection it lost: if that is ours, ours is dead and the new one replaces it;
//  - with dials crossing, the one of the smaller host id wins.

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>

#include "net/link_frame.hpp"
#include "net/link_options.hpp"

namespace prunella::net {

enum class hello_verdict {
  accept,    ///< keep it (and end the one that was there, if any)
  duplicate, ///< end it: another one is kept
  stale,     ///< end it: that life is over
};

class link_peer {
public:
  using time_point = std::chrono::steady_clock::time_point;

  link_peer(std::string self, std::string host, const link_timeouts& timeouts);

  /// Whether to start a connection attempt now.
  bool should_dial(time_point now) const { return !up_ && !dialing_ && now >= next_dial_; }
  void on_dial_started(time_point now);
  /// The TLS handshake of our dial is done: from here on the peer may accept it.
  void on_dial_authenticated() { dial_authenticated_ = true; }
  /// The attempt ended without a link. `duplicate`: because the peer keeps another connection, which is no failure.
  /// `random`: any 32 random bits.
  void on_dial_failed(time_point now, bool duplicate, std::uint32_t random);

  /// A hello arrived on a connection that we or the peer dialed.
  hello_verdict on_hello(const hello_frame& hello, bool dialed_by_us) const;
  /// The link is up with the connection of that hello. Returns whether the peer is another life than before.
  bool on_up(const hello_frame& hello, bool dialed_by_us, time_point now);
  /// The kept connection ended; the next dial is at once unless links to this peer keep breaking.
  void on_down(time_point now, std::uint32_t random);

  bool is_up() const { return up_; }
  bool is_dialing() const { return dialing_; }
  std::uint64_t incarnation() const { return incarnation_; } ///< of the last life seen; 0: none
  std::uint64_t link() const { return link_; }
  std::uint64_t lost_link() const { return lost_link_; }
  std::uint32_t failures() const { return failures_; }
  time_point next_dial() const { return next_dial_; }
  time_point since() const { return since_; } ///< of the current up or of the first dial after it
  /// The delay before attempt `failures` + 1: doubling from `backoff_initial` to `backoff_max`, the upper half random.
  std::chrono::milliseconds backoff(std::uint32_t failures, std::uint32_t random) const;

private:
  std::string self_;
  std::string host_;
  link_timeouts timeouts_;
  bool up_ = false;
  bool dialed_by_us_ = false;
  bool dialing_ = false;
  bool dial_authenticated_ = false;
  std::uint64_t incarnation_ = 0;
  std::uint64_t link_ = 0;
  std::uint64_t lost_link_ = 0;
  std::uint32_t failures_ = 0;
  time_point next_dial_{};
  time_point since_{};
  std::deque<std::uint64_t> past_lives_; ///< bounded
};

} // namespace prunella::net
