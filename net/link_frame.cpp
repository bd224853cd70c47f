#include "net/link_frame.hpp"

#include <cstring>

namespace prunella::net {

namespace {

constexpr std::uint32_t hello_magic = 0x50524C4Bu; // "PRLK"
constexpr std::size_t hello_fixed_bytes = 4 + 2 + 8 + 8 + 8 + 4 + 4 + 4 + 1;
constexpr std::size_t length_bytes = 4;
/// Above this a drained buffer is given back: one large frame must not pin a megabyte per connection.
constexpr std::size_t kept_capacity = 64 * 1024;

template <class Integer>
void put(byte_buffer& out, Integer value) {
  for (int shift = static_cast<int>(sizeof(Integer)) * 8 - 8; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> shift));
}

template <class Integer>
Integer get(const char* data) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Integer); ++i)
    value = value << 8 | static_cast<unsigned char>(data[i]);
  return static_cast<Integer>(value);
}

void put_bytes(byte_buffer& out, std::string_view bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void put_head(byte_buffer& out, frame_kind kind, std::size_t body_bytes) {
  put(out, static_cast<std::uint32_t>(body_bytes + 1));
  put(out, static_cast<std::uint8_t>(kind));
}

struct bounds {
  std::uint32_t min = 0; ///< of the length field, kind included
  std::uint32_t max = 0; ///< 0: no such kind
};

bounds bounds_of(std::uint8_t kind, std::uint32_t max_frame) {
  constexpr auto control = static_cast<std::uint32_t>(max_control_bytes);
  switch (static_cast<frame_kind>(kind)) {
  case frame_kind::hello:
    return {static_cast<std::uint32_t>(1 + hello_fixed_bytes + 1), control};
  case frame_kind::goodbye:
    return {2, 2};
  case frame_kind::ping:
  case frame_kind::pong:
    return {9, 9};
  case frame_kind::credit:
    return {5, 5};
  case frame_kind::send:
  case frame_kind::request:
    return {1 + 8 + 8 + 1 + 1, max_frame};
  case frame_kind::response:
    return {1 + 8 + 8, max_frame};
  case frame_kind::failure:
    return {1 + 8 + 8, control};
  }
  return {};
}

} // namespace

std::string_view to_text(goodbye_reason reason) {
  switch (reason) {
  case goodbye_reason::stopping:
    return "the host is stopping";
  case goodbye_reason::not_member:
    return "this host id is not a member of the site there";
  case goodbye_reason::duplicate:
    return "another connection between the two hosts is kept";
  case goodbye_reason::stale_life:
    return "a later life of this host was seen already";
  case goodbye_reason::violation:
    return "the protocol was broken";
  case goodbye_reason::timeout:
    return "the peer was silent or did not read for too long";
  case goodbye_reason::version:
    return "there is no common protocol version";
  case goodbye_reason::replaced:
    return "a newer connection took over";
  }
  return "no reason that this version knows";
}

void append_hello(byte_buffer& out, const hello_frame& hello) {
  put_head(out, frame_kind::hello, hello_fixed_bytes + hello.host.size());
  put(out, hello_magic);
  put(out, hello.version);
  put(out, hello.incarnation);
  put(out, hello.link);
  put(out, hello.lost_link);
  put(out, hello.window_bytes);
  put(out, hello.request_slots);
  put(out, hello.max_frame);
  put(out, static_cast<std::uint8_t>(hello.host.size()));
  put_bytes(out, hello.host);
}

bool parse_hello(std::string_view body, hello_frame& hello) {
  if (body.size() <= hello_fixed_bytes || get<std::uint32_t>(body.data()) != hello_magic)
    return false;
  const char* at = body.data() + 4;
  hello.version = get<std::uint16_t>(at);
  hello.incarnation = get<std::uint64_t>(at + 2);
  hello.link = get<std::uint64_t>(at + 10);
  hello.lost_link = get<std::uint64_t>(at + 18);
  hello.window_bytes = get<std::uint32_t>(at + 26);
  hello.request_slots = get<std::uint32_t>(at + 30);
  hello.max_frame = get<std::uint32_t>(at + 34);
  const auto host_bytes = static_cast<unsigned char>(at[38]);
  // Bytes behind the host id are left to later versions.
  if (host_bytes == 0 || host_bytes > max_host_id_bytes || body.size() < hello_fixed_bytes + host_bytes)
    return false;
  hello.host.assign(body.data() + hello_fixed_bytes, host_bytes);
  return hello.incarnation != 0 && hello.link != 0;
}

void append_goodbye(byte_buffer& out, goodbye_reason reason) {
  put_head(out, frame_kind::goodbye, 1);
  put(out, static_cast<std::uint8_t>(reason));
}

void append_ping(byte_buffer& out, std::uint64_t token) {
  put_head(out, frame_kind::ping, 8);
  put(out, token);
}

void append_pong(byte_buffer& out, std::uint64_t token) {
  put_head(out, frame_kind::pong, 8);
  put(out, token);
}

void append_credit(byte_buffer& out, std::uint32_t bytes) {
  put_head(out, frame_kind::credit, 4);
  put(out, bytes);
}

void append_send(byte_buffer& out, std::uint64_t incarnation, std::string_view target, std::string_view payload) {
  put_head(out, frame_kind::send, 17 + target.size() + payload.size());
  put(out, incarnation);
  put(out, std::uint64_t{0});
  put(out, static_cast<std::uint8_t>(target.size()));
  put_bytes(out, target);
  put_bytes(out, payload);
}

void append_request(byte_buffer& out, std::uint64_t incarnation, std::uint64_t id, std::string_view target,
                    std::string_view payload) {
  put_head(out, frame_kind::request, 17 + target.size() + payload.size());
  put(out, incarnation);
  put(out, id);
  put(out, static_cast<std::uint8_t>(target.size()));
  put_bytes(out, target);
  put_bytes(out, payload);
}

void append_response(byte_buffer& out, std::uint64_t incarnation, std::uint64_t id, std::string_view payload) {
  put_head(out, frame_kind::response, 16 + payload.size());
  put(out, incarnation);
  put(out, id);
  put_bytes(out, payload);
}

void append_failure(byte_buffer& out, std::uint64_t incarnation, std::uint64_t id, std::string_view payload) {
  payload = payload.substr(0, max_control_bytes - 17);
  put_head(out, frame_kind::failure, 16 + payload.size());
  put(out, incarnation);
  put(out, id);
  put_bytes(out, payload);
}

std::size_t message_frame_bytes(std::string_view target, std::size_t payload_bytes) {
  return length_bytes + 1 + 17 + target.size() + payload_bytes;
}

void set_frame_incarnation(char* data, std::uint64_t incarnation) {
  for (int i = 0; i < 8; ++i)
    data[length_bytes + 1 + static_cast<std::size_t>(i)] = static_cast<char>(incarnation >> (56 - 8 * i));
}

char* frame_decoder::prepare(std::size_t size) {
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (buffer_.capacity() > kept_capacity && size <= kept_capacity)
      byte_buffer().swap(buffer_);
  } else if (begin_ > 0 && buffer_.size() - end_ < size) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() < end_ + size)
    buffer_.resize(end_ + size);
  return buffer_.data() + end_;
}

void frame_decoder::push(std::string_view bytes) {
  if (bytes.empty())
    return;
  std::memcpy(prepare(bytes.size()), bytes.data(), bytes.size());
  commit(bytes.size());
}

frame_decoder::result frame_decoder::fail(std::string problem) {
  problem_ = std::move(problem);
  return result::malformed;
}

frame_decoder::result frame_decoder::next(frame& out) {
  if (!problem_.empty())
    return result::malformed;
  const std::size_t available = end_ - begin_;
  if (available < length_bytes)
    return result::need_more;
  const auto length = get<std::uint32_t>(buffer_.data() + begin_);
  if (length == 0)
    return fail("a frame of length 0; a frame has at least its kind");
  if (length > max_frame_)
    return fail("a frame of " + std::to_string(length) + " bytes; at most " + std::to_string(max_frame_) + " are taken");
  if (available < length_bytes + 1)
    return result::need_more;
  const auto kind = get<std::uint8_t>(buffer_.data() + begin_ + length_bytes);
  const auto [min, max] = bounds_of(kind, max_frame_);
  if (max == 0)
    return fail("a frame of unknown kind " + std::to_string(kind));
  if (length < min || length > max)
    return fail("a frame of kind " + std::to_string(kind) + " with " + std::to_string(length) + " bytes; it has " +
                std::to_string(min) + " to " + std::to_string(max));
  if (available < length_bytes + length)
    return result::need_more;
  out = frame{};
  out.kind = static_cast<frame_kind>(kind);
  out.wire_bytes = static_cast<std::uint32_t>(length_bytes + length);
  const std::string_view body(buffer_.data() + begin_ + length_bytes + 1, length - 1);
  begin_ += length_bytes + length;
  return parse(body, out);
}

frame_decoder::result frame_decoder::parse(std::string_view body, frame& out) {
  switch (out.kind) {
  case frame_kind::hello:
    out.payload = body;
    break;
  case frame_kind::goodbye:
    out.id = get<std::uint8_t>(body.data());
    break;
  case frame_kind::ping:
  case frame_kind::pong:
    out.id = get<std::uint64_t>(body.data());
    break;
  case frame_kind::credit:
    out.id = get<std::uint32_t>(body.data());
    break;
  case frame_kind::send:
  case frame_kind::request: {
    out.incarnation = get<std::uint64_t>(body.data());
    out.id = get<std::uint64_t>(body.data() + 8);
    const auto target_bytes = static_cast<unsigned char>(body[16]);
    if (target_bytes == 0 || body.size() < 17u + target_bytes)
      return fail("a message without a target name");
    if ((out.kind == frame_kind::request) != (out.id != 0))
      return fail("a request without an id, or a send with one");
    out.target = body.substr(17, target_bytes);
    out.payload = body.substr(17u + target_bytes);
    break;
  }
  case frame_kind::response:
  case frame_kind::failure:
    out.incarnation = get<std::uint64_t>(body.data());
    out.id = get<std::uint64_t>(body.data() + 8);
    out.payload = body.substr(16);
    if (out.id == 0)
      return fail("an answer without a request id");
    break;
  }
  return result::frame;
}

} // namespace prunella::net
