#pragma once

// The figures of links. All are bounds: nothing here may be infinite.

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace prunella::net {

struct link_limits {
  /// Longest frame, taken or sent, in bytes.
  std::uint32_t max_frame = 1024 * 1024;
  /// Bytes of messages from one peer that may wait in local mailboxes; at least `max_frame` + 4. A peer that sends more breaks
  /// the protocol and is closed.
  std::uint32_t window_bytes = 8 * 1024 * 1024;
  /// Requests of one peer that may be unanswered here; more are answered with `queue_full`.
  std::uint32_t request_slots = 4096;
  /// What waits for one peer here may cost, in bytes with its bookkeeping (messages; and as much again for answers); more get
  /// `queue_full`. A request of `max_frame` must have room.
  std::size_t send_queue_bytes = 16 * 1024 * 1024;
  /// Ciphertext handed to the kernel side of one connection at a time.
  std::size_t write_watermark = 256 * 1024;
  /// Connections in all, and those of them that have not said hello yet. More are closed at once.
  std::size_t max_connections = 256;
  std::size_t max_handshakes = 64;
};

struct link_timeouts {
  using ms = std::chrono::milliseconds;

  ms handshake{5000};       ///< from accept or dial to hello
  ms keep_alive{1000};      ///< a silent peer is asked after this …
  ms idle{5000};            ///< … and the link dropped after this
  ms stall{5000};           ///< a peer that reads nothing for this long is dropped
  ms frame{30000};          ///< from a frame's first byte to its last
  ms request{10000};        ///< links keep an unanswered request for this long, on both sides
  ms patience{1000};        ///< messages wait for a connection attempt for this long, then fail
  ms backoff_initial{100};  ///< before the second attempt in a row; the first is at once
  ms backoff_max{2000};     ///< doubling stops here
  ms goodbye{500};          ///< a closed connection has this long to take the goodbye
  ms tick{50};              ///< the one timer: every deadline above is met up to this much late …
  ms quiet_tick{500};       ///< … or this much (at most half a `keep_alive` or a quarter of `request`) while all peers are linked and none is behind
};

} // namespace prunella::net
