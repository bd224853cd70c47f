#pragma once

// A connection between the doors of two hosts: mutual TLS, frames, one passed-on connection after the other. Private to
// net/door.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/door/byte_end.hpp"
#include "net/door/core.hpp"

namespace prunella::net {

class tunnel : public std::enable_shared_from_this<tunnel> {
public:
  tunnel(door_core& core, tcp::socket socket, tls_role role);

  /// Runs the TLS handshake; `done` is called once, with why it failed or an empty text. `peer` is known then.
  void shake_hands(std::function<void(const std::string& problem)> done);

  const std::string& peer() const { return tls_.peer_host(); }

  /// Whether it can carry another connection: open, and nothing of the last one is left.
  bool is_idle() const { return !is_broken_ && inbox_.size() == read_ && outbox_.size() == sent_; }
  bool is_broken() const { return is_broken_; }
  door_time last_used() const { return last_used_; }

  /// Queues a frame and sends what the kernel takes.
  void send(door_frame_type type, std::string_view payload);
  /// Bytes that the kernel did not take yet. Who sends on regardless breaks the tunnel at 128 KiB.
  std::size_t unsent() const { return outbox_.size() - sent_; }

  /// The next whole frame that has come; its payload is valid until `consume` or the next wait. `bad`: it is broken.
  frame_state next(door_frame& out);
  /// The frame from `next` is done with.
  void consume(const door_frame& frame);

  /// Called once there is a whole frame, or the tunnel broke.
  void wait_frame(std::function<void()> ready);
  /// Called once nothing is unsent, or it broke.
  void wait_room(std::function<void()> ready);

  /// Gives the memory back that only what was passed on needed.
  void give_back();

  void close();
  void reset();

private:
  void advance();
  void on_handshake_readable();
  bool receive();
  void decrypt();
  void flush();
  void fail(std::string why);
  void wait_socket_writable();

  door_core& core_;
  watched_socket socket_;
  tls_session tls_;
  std::function<void(const std::string&)> on_hands_shaken_;
  std::string inbox_; ///< plain bytes: less than a frame, and what one read of 16 KiB added
  std::size_t read_ = 0;
  byte_buffer outbox_; ///< cipher bytes
  std::size_t sent_ = 0;
  std::function<void()> frame_waiter_;
  std::function<void()> room_waiter_;
  bool waits_for_reading_ = false;
  bool waits_for_writing_ = false;
  bool is_broken_ = false;
  bool is_warm_ = false; ///< bytes moved since memory was given back
  std::string problem_;
  door_time last_used_ = door_core::now();
};

/// A tunnel that carries a connection, as one side of it. After a clean end `on_free` gets it back.
std::unique_ptr<byte_end> make_tunnel_end(std::shared_ptr<tunnel> carrier, std::function<void(std::shared_ptr<tunnel>)> on_free);

/// Asks the door of `host` for `request` over an idle tunnel or a new one; `done` is called once, with the tunnel on which
/// it was granted, or null and why not.
void open_tunnel(door_core& core, const std::string& host, const door_request& request, door_time until,
                 std::function<void(std::shared_ptr<tunnel>, const std::string& why)> done);

/// Keeps a tunnel for the next connection to its peer, or closes it.
void keep_tunnel(door_core& core, std::shared_ptr<tunnel> idle);

} // namespace prunella::net
