#pragma once

// The rows of `GET /v1/images`; see `views.hpp`.

#include <cstdint>
#include <string>
#include <vector>

#include "config/fields.hpp"

namespace prunella::actors {

/// An image on one host, there or on its way.
struct host_image_view {
  std::string host;
  std::string state; ///< present | waiting | fetching | unpacking | failed | missing: needed there, and nothing is known of it
  std::string from;  ///< while it is fetched: a host, `registry r.example`, `archive /media/web.tar`; then where it came from
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0; ///< 0: not known yet
  std::uint32_t attempts = 0;    ///< that failed in a row
  std::string reason;            ///< of the last failure
  std::vector<std::string> holders; ///< containers that use it there, at most 16
  bool unpacked = false;

  PRUNELLA_FIELDS(host_image_view, host, state, from, bytes_done, bytes_total, attempts, reason, holders, unpacked)
};

/// A service whose present version names an image by a tag.
struct tag_use_view {
  std::string service; ///< tenant.application.service
  std::string tag;

  PRUNELLA_FIELDS(tag_use_view, service, tag)
};

/// One image under its first name; one that is only on its way has no digest yet.
struct image_view {
  std::string name;
  std::vector<std::string> names; ///< all that it has, at most 64
  std::string digest;             ///< `sha256:…` of its manifest
  std::string platform;
  std::uint64_t bytes = 0; ///< of its blobs
  std::string needed;      ///< yes: by a present version; rollback: by the one before; no
  std::uint32_t copies = 0; ///< hosts that are up and have it
  std::vector<host_image_view> hosts; ///< ordered by id
  std::vector<tag_use_view> meant_by; ///< what the site decided that tags mean; ordered by service

  PRUNELLA_FIELDS(image_view, name, names, digest, platform, bytes, needed, copies, hosts, meant_by)
};

} // namespace prunella::actors
