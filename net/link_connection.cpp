#include "net/link_connection.hpp"

#include <utility>

namespace prunella::net {

namespace {

/// A TLS record holds at most 16 KiB of plaintext, so one read never takes more.
constexpr std::size_t record_bytes = 16 * 1024;

} // namespace

link_connection::link_connection(const tls_context& context, tls_role role, const link_limits& limits,
                                 const link_timeouts& timeouts, hello_frame own, std::string expected_peer,
                                 time_point now)
  : role_(role), limits_(limits), timeouts_(timeouts), own_(std::move(own)), expected_peer_(std::move(expected_peer)),
    tls_(context, role), window_(limits.window_bytes), handshake_deadline_(now + timeouts.handshake),
    last_received_(now), last_ping_(now) {
  own_.window_bytes = limits.window_bytes;
  own_.request_slots = limits.request_slots;
  own_.max_frame = limits.max_frame;
}

void link_connection::receive(std::string_view ciphertext, time_point now) {
  if (has_ended() || ciphertext.empty())
    return;
  last_received_ = now;
  tls_.feed(ciphertext);
}

void link_connection::end(goodbye_reason reason, std::string text, bool violation) {
  if (has_ended())
    return;
  if (tls_.current() == tls_session::state::open) {
    byte_buffer goodbye;
    append_goodbye(goodbye, reason);
    tls_.write({goodbye.data(), goodbye.size()});
    tls_.close();
  }
  phase_ = phase::ended;
  end_reason_ = reason;
  end_text_ = std::move(text);
  violated_ = violation;
}

void link_connection::lost(std::string text) {
  if (has_ended())
    return;
  phase_ = phase::ended;
  end_reason_ = goodbye_reason::timeout;
  end_text_ = std::move(text);
}

void link_connection::fail_tls() {
  if (tls_.current() == tls_session::state::closed)
    lost("the peer closed the connection");
  else
    end(goodbye_reason::violation, tls_.problem(), true);
}

link_input link_connection::report_end() {
  return std::exchange(end_reported_, true) ? link_input::nothing : link_input::ended;
}

link_input link_connection::on_peer() {
  phase_ = phase::hello;
  if (!expected_peer_.empty() && peer_host() != expected_peer_) {
    end(goodbye_reason::violation,
        "the certificate there is for host '" + peer_host() + "', not for '" + expected_peer_ + "'", true);
    return report_end();
  }
  if (role_ == tls_role::client) {
    byte_buffer hello;
    append_hello(hello, own_);
    tls_.write({hello.data(), hello.size()});
  }
  return link_input::peer;
}

link_input link_connection::next(frame& out, time_point now) {
  for (;;) {
    if (has_ended())
      return report_end();
    if (tls_.current() == tls_session::state::failed) {
      fail_tls();
      continue;
    }
    if (phase_ == phase::tls) {
      if (tls_.current() != tls_session::state::open)
        return link_input::nothing;
      return on_peer();
    }
    if (phase_ == phase::deciding)
      return link_input::nothing;
    switch (decoder_.next(out)) {
    case frame_decoder::result::frame:
      partial_since_ = {};
      if (const auto input = on_frame(out, now); input != link_input::nothing)
        return input;
      break;
    case frame_decoder::result::malformed:
      end(goodbye_reason::violation, decoder_.problem(), true);
      break;
    case frame_decoder::result::need_more: {
      const auto got = tls_.read(decoder_.prepare(record_bytes), record_bytes);
      decoder_.commit(got);
      if (got == 0 && tls_.current() == tls_session::state::open) {
        if (decoder_.has_partial_frame() && partial_since_ == time_point{})
          partial_since_ = now;
        return link_input::nothing;
      }
      if (got == 0)
        fail_tls();
      break;
    }
    }
  }
}

/// `nothing` here means: handled, go on with the next frame.
link_input link_connection::on_frame(frame& in, time_point now) {
  if (in.kind == frame_kind::goodbye) {
    peer_said_goodbye_ = true;
    lost(std::string("the peer said goodbye: ") += to_text(static_cast<goodbye_reason>(in.id)));
    end_reason_ = static_cast<goodbye_reason>(in.id);
    return link_input::nothing;
  }
  if (phase_ == phase::hello) {
    if (in.kind == frame_kind::hello)
      return on_hello(in);
    end(goodbye_reason::violation, "a frame before hello", true);
    return link_input::nothing;
  }
  byte_buffer reply;
  switch (in.kind) {
  case frame_kind::ping:
    append_pong(reply, in.id);
    tls_.write({reply.data(), reply.size()});
    return link_input::nothing;
  case frame_kind::pong:
    if (ping_token_ != 0 && in.id == ping_token_) {
      ping_token_ = 0;
      round_trip_ = std::chrono::duration_cast<std::chrono::microseconds>(now - last_ping_);
    }
    return link_input::nothing;
  case frame_kind::credit:
    if (!credit_.grant(in.id))
      end(goodbye_reason::violation, "credit for more than was sent", true);
    return link_input::nothing;
  case frame_kind::send:
  case frame_kind::request:
    if (!window_.take(in.wire_bytes)) {
      end(goodbye_reason::violation, "a message beyond the granted window", true);
      return link_input::nothing;
    }
    break;
  case frame_kind::response:
  case frame_kind::failure:
    break;
  default:
    end(goodbye_reason::violation, "a second hello", true);
    return link_input::nothing;
  }
  if (in.incarnation != own_.incarnation) {
    end(goodbye_reason::violation, "a message for another life of this host", true);
    return link_input::nothing;
  }
  return link_input::message;
}

link_input link_connection::on_hello(const frame& in) {
  if (!parse_hello(in.payload, peer_hello_)) {
    end(goodbye_reason::violation, "a hello that cannot be read", true);
    return link_input::nothing;
  }
  if (peer_hello_.version != link_protocol_version) {
    end(goodbye_reason::version, "link protocol version " + std::to_string(peer_hello_.version) + " there, " +
                                   std::to_string(link_protocol_version) + " here");
    return link_input::nothing;
  }
  if (peer_hello_.host != peer_host()) {
    end(goodbye_reason::violation,
        "hello says host '" + peer_hello_.host + "', the certificate says '" + peer_host() + "'", true);
    return link_input::nothing;
  }
  if (role_ == tls_role::server) {
    own_.link = peer_hello_.link;
    phase_ = phase::deciding;
    return link_input::hello;
  }
  if (peer_hello_.link != own_.link) {
    end(goodbye_reason::violation, "hello names another connection", true);
    return link_input::nothing;
  }
  open(last_received_);
  return link_input::hello;
}

void link_connection::accept(std::uint64_t lost_link, time_point now) {
  if (phase_ != phase::deciding)
    return;
  own_.lost_link = lost_link;
  byte_buffer hello;
  append_hello(hello, own_);
  tls_.write({hello.data(), hello.size()});
  open(now);
}

void link_connection::open(time_point now) {
  phase_ = phase::open;
  last_ping_ = now;
  credit_ = send_window(peer_hello_.window_bytes, peer_hello_.request_slots);
  decoder_.set_max_frame(limits_.max_frame);
}

void link_connection::consumed(std::uint32_t bytes) {
  if (!is_open())
    return;
  consumed_ += bytes;
  if (!window_.should_grant(consumed_, limits_.max_frame + 4))
    return;
  const auto granted = std::exchange(consumed_, 0);
  window_.give_back(granted);
  byte_buffer credit;
  append_credit(credit, granted);
  tls_.write({credit.data(), credit.size()});
}

void link_connection::tick(time_point now) {
  if (has_ended())
    return;
  if (!is_open()) {
    if (now >= handshake_deadline_)
      end(goodbye_reason::timeout,
          "no handshake within " + std::to_string(timeouts_.handshake.count()) + " ms");
    return;
  }
  const auto silence = now - last_received_;
  if (silence >= timeouts_.idle) {
    end(goodbye_reason::timeout, "nothing was heard for " + std::to_string(timeouts_.idle.count()) + " ms");
    return;
  }
  if (partial_since_ != time_point{} && now - partial_since_ >= timeouts_.frame) {
    end(goodbye_reason::timeout, "a frame took more than " + std::to_string(timeouts_.frame.count()) + " ms", true);
    return;
  }
  if (now - last_ping_ >= timeouts_.keep_alive && silence >= timeouts_.keep_alive) {
    ping_token_ = static_cast<std::uint64_t>(now.time_since_epoch().count()) | 1;
    last_ping_ = now;
    byte_buffer ping;
    append_ping(ping, ping_token_);
    tls_.write({ping.data(), ping.size()});
  }
}

} // namespace prunella::net
