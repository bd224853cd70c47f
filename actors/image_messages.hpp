#pragma once

// What hosts say to each other about images: who has which, who is to fetch which from whom, and the bytes. Part of
// `messages.hpp`, apart because few need it. References are complete (`registry/name:tag`, `storage::parse_reference`),
// manifests and blobs are named `sha256:…`.

#include <cstdint>
#include <string>
#include <vector>

#include "actors/site/site_state.hpp"
#include "config/fields.hpp"

namespace prunella::actors {

/// A part of a blob, and about what a report or a list of orders may take.
inline constexpr std::uint32_t max_part_bytes = 256 * 1024;
inline constexpr std::size_t max_image_report_bytes = 512 * 1024;

/// An image that a host has whole.
struct held_image {
  std::string manifest;
  std::vector<std::string> names;   ///< references, at most 64 of them
  std::vector<std::string> holders; ///< containers that use it, at most 16 of them
  std::string platform;             ///< `linux/amd64`
  std::string source;               ///< where it came from: `registry r.example`, `host-3`, `archive /media/usb/web.tar`
  std::uint64_t bytes = 0;          ///< of its blobs
  bool unpacked = false;
  time_ms added_at = 0;

  PRUNELLA_FIELDS(held_image, manifest, names, holders, platform, source, bytes, unpacked, added_at)
};

enum class transfer_state : std::uint8_t { waiting, fetching, unpacking, failed };

/// As the API says it.
constexpr const char* to_text(transfer_state state) {
  switch (state) {
  case transfer_state::waiting: return "waiting";
  case transfer_state::fetching: return "fetching";
  case transfer_state::unpacking: return "unpacking";
  case transfer_state::failed: return "failed";
  }
  return "unknown";
}

/// An image that a host is to have and has not yet.
struct image_transfer {
  std::string reference;
  transfer_state state = transfer_state::waiting;
  bool asked_for = false;      ///< a container here waits for it
  bool from_registry = false;  ///< under way, and not from a host of the site
  std::string from;            ///< while fetching: host, registry or file
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0; ///< 0: not known yet
  std::uint32_t attempts = 0;    ///< that failed in a row
  std::string reason;            ///< of the last failure
  bool is_hopeless = false;      ///< its registry was asked, and somebody has to do something before the next attempt can succeed

  PRUNELLA_FIELDS(image_transfer, reference, state, asked_for, from_registry, from, bytes_done, bytes_total, attempts, reason, is_hopeless)
};

/// What a host found out about a tag that it was ordered to look at.
struct tag_found {
  std::string reference;
  std::uint64_t since = 0; ///< of the order
  std::string digest;

  PRUNELLA_FIELDS(tag_found, reference, since, digest)
};

/// Host → site (actor "site" on the leader), after a change and as the answer to `image_orders`: all of it each time, the
/// newest of a host counts. At most about `max_image_report_bytes`; what does not fit is left out, least recently used
/// first. No answer; a lost one is made good by the next orders.
struct image_report {
  std::string host;
  std::uint64_t incarnation = 0; ///< of the agent process
  std::uint64_t revision = 0;    ///< grows with each report of an incarnation
  std::string platform;          ///< of the host
  std::uint64_t free_bytes = 0;  ///< on the disk of its images
  std::vector<held_image> images;
  std::vector<image_transfer> transfers;
  std::vector<tag_found> tags; ///< of the present orders

  PRUNELLA_FIELDS(image_report, host, incarnation, revision, platform, free_bytes, images, transfers, tags)
};

/// Brings one image to a host.
struct image_order {
  std::string reference;
  std::string manifest;          ///< what the hosts of `from` have under that name; empty: there are none
  std::vector<std::string> from; ///< hosts that have it, best first
  bool may_ask_registry = false; ///< the one host that fetches it for all
  std::uint64_t bytes = 0;       ///< 0: not known
  /// Not 0: `reference` is a tag, and the site wants to know what it means now, at a time after its log's entry of this
  /// number. → `tag_found` in a report. Who has had it from a file only says what that is.
  std::uint64_t look_since = 0;

  PRUNELLA_FIELDS(image_order, reference, manifest, from, may_ask_registry, bytes, look_since)
};

/// Site → host (actor "images"): all that the host is to fetch now, and all that the site counts on finding there. →
/// `image_report`. Sent whenever it changed, and again from time to time. Idempotent.
struct image_orders {
  std::string leader;
  std::uint64_t term = 0;
  std::vector<image_order> orders;
  std::vector<std::string> keep; ///< references: not collected there, however tight the disk is

  PRUNELLA_FIELDS(image_orders, leader, term, orders, keep)
};

/// Host → host (actor "images"), when no leader says who has an image. → `image_found`.
struct find_image {
  std::string reference;
  std::string platform; ///< of who asks

  PRUNELLA_FIELDS(find_image, reference, platform)
};

struct image_found {
  std::string manifest;   ///< empty: it is not here, or not for that platform
  bool under_way = false; ///< it is being fetched here
  time_ms added_at = 0;

  PRUNELLA_FIELDS(image_found, manifest, under_way, added_at)
};

/// Host → host (actor "images"): up to `max_bytes` (at most `max_part_bytes`) of a blob from `offset` on. → `blob_part`,
/// in which less than that means the end of the blob. Errors: `image_errc::not_found`, store_unusable. With `max_bytes` 0 it asks for
/// nothing: the sender got other bytes than the digest promises, and the receiver is to check what its disk has.
struct read_blob {
  std::string digest;
  std::uint64_t offset = 0;
  std::uint32_t max_bytes = 0;

  PRUNELLA_FIELDS(read_blob, digest, offset, max_bytes)
};

struct blob_part {
  std::uint64_t offset = 0;
  std::uint64_t total_bytes = 0; ///< of the blob
  std::string bytes;

  PRUNELLA_FIELDS(blob_part, offset, total_bytes, bytes)
};

} // namespace prunella::actors
