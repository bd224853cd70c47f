// The frames of a link, from a host that holds a valid key and breaks the protocol.
//   first byte: into pieces of how many bytes the stream is cut; the rest: the stream

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "net/link_frame.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace prunella::net;
using prunella::fuzz::require;

namespace {

constexpr std::uint32_t max_frame = 64 * 1024;

struct owned_frame {
  frame_kind kind{};
  std::uint64_t incarnation = 0;
  std::uint64_t id = 0;
  std::string target;
  std::string payload;

  friend bool operator==(const owned_frame& a, const owned_frame& b) {
    return std::tie(a.kind, a.incarnation, a.id, a.target, a.payload) ==
           std::tie(b.kind, b.incarnation, b.id, b.target, b.payload);
  }
};

struct decoded {
  std::vector<owned_frame> frames;
  std::string problem;
};

decoded decode(std::string_view stream, std::size_t piece) {
  decoded out;
  frame_decoder decoder(max_frame);
  for (; !stream.empty(); stream.remove_prefix(std::min(piece, stream.size()))) {
    decoder.push(stream.substr(0, piece));
    frame x;
    while (decoder.next(x) == frame_decoder::result::frame)
      out.frames.push_back({x.kind, x.incarnation, x.id, std::string(x.target), std::string(x.payload)});
    require(decoder.capacity() <= 4 * (max_frame + piece), "a decoder holds no more than a few frames");
  }
  out.problem = decoder.problem();
  return out;
}

/// The bytes of a frame; empty for a hello that this version would not send.
byte_buffer encode(const owned_frame& x) {
  byte_buffer out;
  switch (x.kind) {
  case frame_kind::hello:
    if (hello_frame hello; parse_hello(x.payload, hello))
      append_hello(out, hello);
    break;
  case frame_kind::goodbye: append_goodbye(out, static_cast<goodbye_reason>(x.id)); break;
  case frame_kind::ping: append_ping(out, x.id); break;
  case frame_kind::pong: append_pong(out, x.id); break;
  case frame_kind::credit: append_credit(out, static_cast<std::uint32_t>(x.id)); break;
  case frame_kind::send: append_send(out, x.incarnation, x.target, x.payload); break;
  case frame_kind::request: append_request(out, x.incarnation, x.id, x.target, x.payload); break;
  case frame_kind::response: append_response(out, x.incarnation, x.id, x.payload); break;
  case frame_kind::failure: append_failure(out, x.incarnation, x.id, x.payload); break;
  }
  return out;
}

void check_encoding(const owned_frame& x) {
  const auto bytes = encode(x);
  require(!bytes.empty() || x.kind == frame_kind::hello, "every frame but a hello can be written again");
  if (bytes.empty())
    return;
  const auto again = decode({bytes.data(), bytes.size()}, bytes.size());
  require(again.problem.empty() && again.frames.size() == 1, "what is written for a frame is one frame");
  if (x.kind != frame_kind::hello) // a hello may carry bytes of a later version, which are left out
    require(again.frames[0] == x, "a frame that is written again reads the same");
  (void)to_text(static_cast<goodbye_reason>(x.id));
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto stream = prunella::fuzz::text_of(data, size);
  const std::size_t piece = 1u + prunella::fuzz::take_byte(stream);
  const auto whole = decode(stream, stream.size() + 1);
  const auto pieces = decode(stream, piece);
  require(whole.frames == pieces.frames && whole.problem == pieces.problem, "how bytes arrive does not matter");
  for (const auto& x : whole.frames)
    check_encoding(x);
  return 0;
}
