#pragma once

// What a host says that it can run, and with what: placement goes by it, people read it. Pure.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/fields.hpp"
#include "config/spec.hpp"

namespace prunella::actors {

/// What not every host with the right driver can do.
enum class host_lack : std::uint8_t {
  bridge,          ///< `network: bridge`
  user_namespaces, ///< `user-namespace: true`
  disk_limits,     ///< `disk` of a container
  own_networks,    ///< `network: none`, and with it `bridge`
  disk_room,       ///< anything new; what is there stays
};

/// Something that the host's containers are without.
struct host_weakness {
  std::string what; ///< some words: `seccomp`
  std::string why;  ///< a sentence, with what would be right

  PRUNELLA_FIELDS(host_weakness, what, why)
};

/// For people.
struct host_software {
  std::vector<std::string> drivers; ///< `process`, `oci (runc 1.1.5)`, `engine (Docker 20.10.24)`
  std::vector<host_weakness> without;

  PRUNELLA_FIELDS(host_software, drivers, without)
};

struct host_offer {
  std::vector<config::driver_kind> drivers; ///< ascending; none: it does not know yet
  std::vector<host_lack> lacks;             ///< ascending
  host_software software;                   ///< in a message: without drivers it is as it was told before

  PRUNELLA_FIELDS(host_offer, drivers, lacks, software)
};

/// Bounds of `host_software` in elements of each list and bytes of each text.
inline constexpr std::size_t max_software_texts = 8;
inline constexpr std::size_t max_software_bytes = 400;

/// Cut to its bounds, without control characters: it may come from another host.
host_software bounded(host_software software);

/// What a host says it is without while its disk is full.
inline constexpr std::string_view disk_room_word = "disk room";

/// Why a host takes nothing new, as it said itself; null: its disk has room.
const host_weakness* full_disk_of(const std::vector<host_lack>& lacks, const host_software& software);

} // namespace prunella::actors

namespace prunella::config {

template <>
struct enum_texts<actors::host_lack> {
  static constexpr std::array<std::string_view, 5> value{"bridge", "user-namespaces", "disk-limits", "own-networks", "disk-room"};
};

} // namespace prunella::config
