#pragma once

// One side of a connection that is passed on, and the passing on. Private to net/door.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "net/door/core.hpp"

namespace prunella::net {

/// Bytes in and out without waiting. At most one reader and one writer wait at a time.
class byte_end {
public:
  static constexpr ssize_t again = watched_socket::again;   ///< nothing now: wait
  static constexpr ssize_t broken = watched_socket::broken; ///< the connection was lost

  virtual ~byte_end() = default;
  /// Up to `size` bytes; 0: the peer said its last. `size` is at least 16 KiB.
  virtual ssize_t read(char* data, std::size_t size) = 0;
  virtual ssize_t write(const char* data, std::size_t size) = 0;
  virtual void wait_read(std::function<void()> ready) = 0;
  virtual void wait_write(std::function<void()> ready) = 0;
  /// No more bytes will be written.
  virtual void end_writing() = 0;
  /// Both sides said their last.
  virtual void finish() = 0;
  /// Ends it so that the peer takes notice.
  virtual void abort() = 0;
  /// Nothing moves: gives the memory back that only what was passed on needed.
  virtual void give_back() {}
  /// The other host that it leads to; empty: none.
  virtual std::string remote_host() const { return {}; }
};

std::unique_ptr<byte_end> make_socket_end(door_core& core, tcp::socket socket);

/// Connects to the first of `addresses` (numeric) that does not refuse; `done` is called once, with null and a reason if none
/// is left or `until` passed.
void connect_local(door_core& core, std::vector<std::string> addresses, door_time until,
                   std::function<void(std::unique_ptr<byte_end>, const std::string& why)> done);

/// How a connection that was passed on ended.
enum class relay_end : std::uint8_t {
  clean,      ///< both sides said their last
  broken,     ///< one of them was lost, or nothing moved for too long
  unanswered, ///< the second was lost before it said anything
};

/// Passes bytes both ways until both sides said their last, one of them breaks, or nothing moves for too long.
class relay : public door_life, public std::enable_shared_from_this<relay> {
public:
  /// `on_end` is called once.
  relay(door_core& core, std::unique_ptr<byte_end> a, std::unique_ptr<byte_end> b, std::function<void(relay_end)> on_end);

  void start();
  void sweep(door_time now) override;
  void abort() override;
  std::string remote_host() const override { return b_->remote_host(); }

private:
  /// One direction.
  struct pump {
    byte_end* from = nullptr;
    byte_end* to = nullptr;
    std::string left; ///< what `to` did not take yet
    std::size_t sent = 0;
    bool has_ended = false;
  };

  void run(pump& x);
  bool drain(pump& x);
  bool take(pump& x);
  void wait_read(pump& x);
  void wait_write(pump& x);
  void lose(const byte_end* side);
  void end(relay_end how);

  door_core& core_;
  std::unique_ptr<byte_end> a_;
  std::unique_ptr<byte_end> b_;
  std::function<void(relay_end)> on_end_;
  pump there_;
  pump back_;
  door_time last_move_;
  bool has_answer_ = false; ///< of the second side
  bool is_over_ = false;
};

} // namespace prunella::net
