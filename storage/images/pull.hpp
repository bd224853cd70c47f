#pragma once

// Images from registries and from archives, through skopeo. It writes into a staging folder; every blob is verified
// again when it is moved from there into the store.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/errors.hpp"
#include "storage/images/image_store.hpp"
#include "storage/images/import.hpp"
#include "storage/images/reference.hpp"

namespace prunella::storage {

struct registry_access {
  /// A file as `skopeo login --authfile` writes it; empty: anonymous. Secrets are never in a command line or in the
  /// environment, and no other file of this machine is looked at.
  std::string auth_file;
  /// Where such a file belongs on this host, for sentences: it need not be there.
  std::string auth_place;
  /// A folder with `ca.crt` (and `client.cert`, `client.key`); empty: the system's authorities.
  std::string certificates;
  /// Only for a registry on the own network: plain HTTP, or a certificate that nobody signed.
  bool insecure = false;
  std::chrono::milliseconds document_timeout{30'000}; ///< for a manifest or a configuration
  std::chrono::milliseconds stall_after{30'000};      ///< without one new byte
  std::chrono::milliseconds total_timeout{3'600'000}; ///< without the time in which it was slowed down
  /// Further variables for skopeo, as `NAME=value`: `HTTPS_PROXY=…`.
  std::vector<std::string> environment;
  /// Called with the bytes that arrived since the last call: how long to take no more. May be empty. Skopeo knows no bound
  /// of bandwidth, so it is stopped meanwhile, and the registry with it when the kernel's buffers are full.
  std::function<std::chrono::microseconds(std::uint64_t bytes)> pace{};
};

/// Fetches what `reference` names for `options.wanted` and adds it under that name. Blobs that the store has are not
/// fetched, and those that arrived whole before a failure are not fetched again. Blocks; use a thread of its own that
/// lives as long. Errors: `not_found` (unknown image or tag), `denied`, `unreachable` (no answer, a cut: try again),
/// `stalled`, `unsupported` (platform, media type), `unverified`, `refused` (untrusted certificate, a bound), `disk_full`,
/// `inaccessible` (skopeo is not installed).
result<image_record> pull(image_store& store, const image_reference& reference, const registry_access& access,
                          const import_options& options);

/// What the tag of `reference` means at its registry now: the digest of a manifest or of an index. Asks for that alone, and
/// waits `access.document_timeout` for it. Errors as `pull`.
result<digest> look_up(image_store& store, const image_reference& reference, const registry_access& access);

/// Imports the archive at `path` (`docker save`, `podman save`, `skopeo copy … oci-archive:`), compressed or not: the
/// image called `tag` in it, or the only one when `tag` is empty. Of `access` only the times count. Errors as `pull`
/// and `import_layout`.
result<image_record> import_archive(image_store& store, const std::string& path, const std::string& tag,
                                    const image_reference& name, const registry_access& access,
                                    const import_options& options);

/// What skopeo read from, for the sentence.
struct skopeo_source {
  std::string what;       ///< as in `cannot pull r.example/web:1`
  std::string registry;   ///< `HOST:PORT`; empty: an archive
  std::string auth_place; ///< as in `registry_access`
};

/// What skopeo's last words mean, and what to do. Pure.
storage_error explain_skopeo(std::string_view errors, const skopeo_source& from);

/// Notices that nothing moves. Pure: time comes in. `bytes` may only grow to count as progress.
class stall_watch {
public:
  explicit stall_watch(std::chrono::milliseconds stall_after) : stall_after_(stall_after) {}

  /// True once `bytes` has not grown for `stall_after`; exactly that long counts.
  bool stalled(std::uint64_t bytes, std::chrono::milliseconds now) {
    if (bytes > most_) {
      most_ = bytes;
      since_ = now;
    }
    return now - since_ >= stall_after_;
  }

private:
  std::chrono::milliseconds stall_after_;
  std::chrono::milliseconds since_{0};
  std::uint64_t most_ = 0;
};

} // namespace prunella::storage
