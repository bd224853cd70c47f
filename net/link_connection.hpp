#pragma once

// One connection of a link as a value without I/O or clock: TLS, framing, hello, credit, keep-alive and deadlines. Its
// owner feeds it ciphertext and the time, pulls inputs with `next`, and carries its output to the socket.
//
//   tls ──► hello ──► (acceptor: the owner decides) ──► open ──► ended

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/link_credit.hpp"
#include "net/link_frame.hpp"
#include "net/link_options.hpp"
#include "net/tls_session.hpp"

namespace prunella::net {

enum class link_input {
  nothing, ///< feed more bytes
  peer,    ///< the TLS handshake is done: `peer_host()` is known; end() it here if that host is no member
  hello,   ///< `peer_hello()` is known; an acceptor's owner now calls accept() or end(), a dialer's link is open
  message, ///< a send, request, response or failure
  ended,   ///< `end_text()` says why; returned once
};

class link_connection {
public:
  using time_point = std::chrono::steady_clock::time_point;

  /// `own`: this side's hello; an acceptor takes `link` from the dialer. `expected_peer`: the host dialed, empty for an
  /// acceptor.
  link_connection(const tls_context& context, tls_role role, const link_limits& limits, const link_timeouts& timeouts,
                  hello_frame own, std::string expected_peer, time_point now);

  void receive(std::string_view ciphertext, time_point now);

  /// Views in `out` end with the next call of anything here.
  link_input next(frame& out, time_point now);

  /// Acceptor, after `hello`: the link is open. `lost_link` as in `hello_frame`.
  void accept(std::uint64_t lost_link, time_point now);

  /// Encrypts whole frames. Only while `is_open()`.
  void write(std::string_view frames) { tls_.write(frames); }

  /// Says goodbye for `reason`; `text` is for logs and counters. The first call counts.
  void end(goodbye_reason reason, std::string text, bool violation = false);
  /// The transport is gone.
  void lost(std::string text);

  /// Keep-alive and deadlines.
  void tick(time_point now);

  /// `bytes` of received messages were consumed. Sends credit when there is enough to give or the peer may need it.
  void consumed(std::uint32_t bytes);

  void take_output(byte_buffer& out) { tls_.take_output(out); }

  bool is_open() const { return phase_ == phase::open; }
  bool has_ended() const { return phase_ == phase::ended; }
  bool is_dialer() const { return role_ == tls_role::client; }
  const std::string& peer_host() const { return tls_.peer_host(); }
  const hello_frame& peer_hello() const { return peer_hello_; }
  const hello_frame& own_hello() const { return own_; }
  goodbye_reason end_reason() const { return end_reason_; }
  const std::string& end_text() const { return end_text_; }
  bool peer_said_goodbye() const { return peer_said_goodbye_; }
  bool violated() const { return violated_; }
  send_window& credit() { return credit_; }
  std::uint32_t window_used() const { return window_.used(); }
  /// Of the last ping; 0: none yet.
  std::chrono::microseconds round_trip() const { return round_trip_; }

private:
  enum class phase { tls, hello, deciding, open, ended };

  void fail_tls();
  link_input on_peer();
  link_input on_frame(frame& in, time_point now);
  link_input on_hello(const frame& in);
  void open(time_point now);
  link_input report_end();

  tls_role role_;
  link_limits limits_;
  link_timeouts timeouts_;
  hello_frame own_;
  std::string expected_peer_;
  tls_session tls_;
  frame_decoder decoder_{static_cast<std::uint32_t>(max_control_bytes)};
  hello_frame peer_hello_;
  send_window credit_;
  receive_window window_;
  std::uint32_t consumed_ = 0; ///< and not granted yet
  phase phase_ = phase::tls;
  time_point handshake_deadline_;
  time_point last_received_;
  time_point last_ping_;
  time_point partial_since_{};
  std::uint64_t ping_token_ = 0;
  std::chrono::microseconds round_trip_{0};
  goodbye_reason end_reason_{};
  std::string end_text_;
  bool violated_ = false;
  bool peer_said_goodbye_ = false;
  bool end_reported_ = false;
};

} // namespace prunella::net
