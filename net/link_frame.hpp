#pragma once

// The bytes of a link once TLS is off. Every frame is
//
//   u32 length | u8 kind | body          (integers big endian; `length` counts what follows it)
//
// and every kind has its own bounds, checked on the first five bytes: nothing is allocated for what a length claims,
// memory grows only with bytes that arrived.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace prunella::net {

/// CAF's own byte buffer type, so that nothing is copied between the two.
using byte_buffer = std::vector<char>;

/// Of the frames and of all that travels in them: agents whose messages or log entries differ refuse each other. One more with
/// every change of `actors/messages.hpp` or of the log (`storage::raft_log_format`).
inline constexpr std::uint16_t link_protocol_version = 2;
inline constexpr std::size_t max_host_id_bytes = 63; ///< a DNS label
inline constexpr std::size_t max_target_bytes = 255;
inline constexpr std::size_t max_control_bytes = 512; ///< hello, goodbye, ping, pong, credit, failure

enum class frame_kind : std::uint8_t {
  hello = 1,    ///< first frame of each side: who, which life, how much it takes
  goodbye = 2,  ///< last frame: why
  ping = 3,     ///< answered with pong of the same token
  pong = 4,     ///<
  credit = 5,   ///< more window
  send = 6,     ///< a message that wants no answer
  request = 7,  ///< a message that wants one answer
  response = 8, ///< the answer to a request
  failure = 9,  ///< a request failed
};

/// First frame of each side.
struct hello_frame {
  std::uint16_t version = link_protocol_version;
  std::uint64_t incarnation = 0;   ///< of the sender's process; never 0
  std::uint64_t link = 0;          ///< random name of this connection, chosen by who dialed; the other side repeats it
  std::uint64_t lost_link = 0;     ///< the last connection to that peer which the sender saw end; 0: none
  std::uint32_t window_bytes = 0;  ///< of unconsumed messages the sender of this frame takes
  std::uint32_t request_slots = 0; ///< unanswered requests the sender of this frame takes
  std::uint32_t max_frame = 0;     ///< longest frame (without the length field) the sender of this frame takes
  std::string host;                ///< must be the name in the certificate
};

enum class goodbye_reason : std::uint8_t {
  stopping = 1,   ///< the process ends or the links do
  not_member = 2, ///< the sender does not know this host id as a member
  duplicate = 3,  ///< another connection between the two is kept
  stale_life = 4, ///< that incarnation was succeeded by another one already
  violation = 5,  ///< the peer broke the protocol
  timeout = 6,    ///< the peer was silent or did not read
  version = 7,    ///< no common protocol version
  replaced = 8,   ///< a newer connection took over
};
std::string_view to_text(goodbye_reason reason);

/// A received frame. Views point into the decoder and end with its next call.
struct frame {
  frame_kind kind{};
  std::uint32_t wire_bytes = 0;  ///< length field included; what it costs of the window
  std::uint64_t incarnation = 0; ///< send, request, response, failure: life of the receiver it is meant for
  std::uint64_t id = 0;          ///< request, response, failure: the request; ping, pong: token; credit: bytes; goodbye: reason
  std::string_view target;       ///< send, request: name of the actor
  std::string_view payload;      ///< send, request, response: link_codec; failure: error; hello, goodbye: body
};

/// Appends one frame. `payload` (and `target`) must be within the bounds that the decoder checks.
void append_hello(byte_buffer& out, const hello_frame& hello);
void append_goodbye(byte_buffer& out, goodbye_reason reason);
void append_ping(byte_buffer& out, std::uint64_t token);
void append_pong(byte_buffer& out, std::uint64_t token);
void append_credit(byte_buffer& out, std::uint32_t bytes);
void append_send(byte_buffer& out, std::uint64_t incarnation, std::string_view target, std::string_view payload);
void append_request(byte_buffer& out, std::uint64_t incarnation, std::uint64_t id, std::string_view target,
                    std::string_view payload);
void append_response(byte_buffer& out, std::uint64_t incarnation, std::uint64_t id, std::string_view payload);
void append_failure(byte_buffer& out, std::uint64_t incarnation, std::uint64_t id, std::string_view payload);

/// Bytes on the wire of a send or request with such a target and payload.
std::size_t message_frame_bytes(std::string_view target, std::size_t payload_bytes);

/// Overwrites the incarnation of an encoded send, request, response or failure at `data`.
void set_frame_incarnation(char* data, std::uint64_t incarnation);

/// False if `body` is not a hello of bounded size with a non-zero incarnation and link and a host id.
bool parse_hello(std::string_view body, hello_frame& hello);

/// Cuts frames out of a byte stream.
class frame_decoder {
public:
  enum class result { need_more, frame, malformed };

  /// `max_frame`: longest value of the length field that is accepted.
  explicit frame_decoder(std::uint32_t max_frame) : max_frame_(max_frame) {}

  /// Room for `size` more bytes at the end of the buffer; `commit` says how many were written. Invalidates views.
  char* prepare(std::size_t size);
  void commit(std::size_t size) { end_ += size; }
  void push(std::string_view bytes);

  /// The next complete frame. After `malformed` (see `problem()`) it stays so.
  result next(frame& out);

  void set_max_frame(std::uint32_t max_frame) { max_frame_ = max_frame; }

  const std::string& problem() const { return problem_; }
  bool has_partial_frame() const { return end_ > begin_; }
  std::size_t buffered() const { return end_ - begin_; }
  std::size_t capacity() const { return buffer_.capacity(); }

private:
  result fail(std::string problem);
  result parse(std::string_view body, frame& out);

  std::uint32_t max_frame_;
  byte_buffer buffer_;
  std::size_t begin_ = 0; ///< of the bytes not yet returned
  std::size_t end_ = 0;   ///< of the bytes committed; what is behind is room
  std::string problem_;
};

} // namespace prunella::net
