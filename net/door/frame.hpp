#pragma once

// What two doors say to each other inside TLS: frames of a type byte, a length of two bytes (big endian) and as many bytes.
// A tunnel carries one connection (or flow of datagrams) after the other:
//
//   A: open(protocol, port, generation, instance)   B: opened | refused(why)
//   both: data*, end; each its own direction. After both said end the tunnel waits for the next open.
//
// Who closes a tunnel within a connection aborts that connection.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/spec.hpp"

namespace prunella::net {

enum class door_frame_type : std::uint8_t { open = 1, opened = 2, refused = 3, data = 4, end = 5 };

inline constexpr std::size_t door_frame_header = 3;
inline constexpr std::size_t max_door_payload = 65'535; ///< a datagram must fit into one

struct door_frame {
  door_frame_type type = door_frame_type::data;
  std::string_view payload; ///< within the bytes it was read from
};

/// The payload of `open`.
struct door_request {
  config::port_protocol protocol = config::port_protocol::tcp;
  std::uint16_t port = 0; ///< on which the instance listens
  std::uint64_t generation = 0;
  std::string instance;
};

/// Appends a frame to `out`. `payload` holds at most max_door_payload bytes.
void append_frame(std::string& out, door_frame_type type, std::string_view payload);

enum class frame_state : std::uint8_t { complete, partial, bad };

/// The frame at the beginning of `bytes`; `bad`: no such type.
frame_state read_frame(std::string_view bytes, door_frame& out);

std::string encode(const door_request& request);
/// Nothing for what no door sends: another version, an empty or overlong name, bytes left over.
std::optional<door_request> decode_request(std::string_view payload);

} // namespace prunella::net
