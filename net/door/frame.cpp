#include "net/door/frame.hpp"

namespace prunella::net {

namespace {

constexpr char version = 1;
constexpr std::size_t fixed_bytes = 1 + 1 + 2 + 8; ///< version, protocol, port, generation
constexpr std::size_t max_instance_bytes = 255;

void append_number(std::string& out, std::uint64_t number, unsigned bytes) {
  for (unsigned i = bytes; i > 0; --i)
    out += static_cast<char>((number >> (8 * (i - 1))) & 0xff);
}

std::uint64_t read_number(std::string_view bytes) {
  std::uint64_t number = 0;
  for (const char c : bytes)
    number = number << 8 | static_cast<unsigned char>(c);
  return number;
}

} // namespace

void append_frame(std::string& out, door_frame_type type, std::string_view payload) {
  out += static_cast<char>(type);
  append_number(out, payload.size(), 2);
  out += payload;
}

frame_state read_frame(std::string_view bytes, door_frame& out) {
  if (bytes.empty())
    return frame_state::partial;
  const auto type = static_cast<unsigned char>(bytes[0]);
  if (type < static_cast<unsigned char>(door_frame_type::open) || type > static_cast<unsigned char>(door_frame_type::end))
    return frame_state::bad;
  if (bytes.size() < door_frame_header)
    return frame_state::partial;
  const auto size = static_cast<std::size_t>(read_number(bytes.substr(1, 2)));
  if (bytes.size() - door_frame_header < size)
    return frame_state::partial;
  out.type = static_cast<door_frame_type>(type);
  out.payload = bytes.substr(door_frame_header, size);
  return frame_state::complete;
}

std::string encode(const door_request& request) {
  std::string out{version};
  out += static_cast<char>(request.protocol);
  append_number(out, request.port, 2);
  append_number(out, request.generation, 8);
  return out + request.instance;
}

std::optional<door_request> decode_request(std::string_view payload) {
  if (payload.size() <= fixed_bytes || payload.size() > fixed_bytes + max_instance_bytes || payload[0] != version
      || static_cast<unsigned char>(payload[1]) > static_cast<unsigned char>(config::port_protocol::udp))
    return std::nullopt;
  door_request request;
  request.protocol = static_cast<config::port_protocol>(payload[1]);
  request.port = static_cast<std::uint16_t>(read_number(payload.substr(2, 2)));
  request.generation = read_number(payload.substr(4, 8));
  request.instance = payload.substr(fixed_bytes);
  return request;
}

} // namespace prunella::net
