#pragma once

// The JSON documents of an image: index, manifest, configuration, in the OCI and the Docker (schema 2) dialect. Pure
// functions from bytes; members they do not need are ignored, as both standards demand. Every list and text is bounded.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/fields.hpp"
#include "storage/errors.hpp"
#include "storage/images/digest.hpp"
#include "storage/images/platform.hpp"

namespace prunella::storage {

/// A manifest, index or configuration: what registries accept at most.
inline constexpr std::size_t max_document_bytes = 4u << 20;
/// Docker's own limit, and well under what overlayfs stacks.
inline constexpr std::size_t max_layers = 127;
inline constexpr std::size_t max_index_entries = 1000;
inline constexpr std::uint64_t max_layer_bytes = std::uint64_t{64} << 30;

/// A blob as a document speaks of it.
struct descriptor {
  std::string media_type;
  storage::digest digest;
  std::uint64_t size = 0;

  PRUNELLA_FIELDS(descriptor, media_type, digest, size)
};

struct index_entry {
  descriptor manifest;
  storage::platform platform; ///< empty `os`: not said
  std::string name;           ///< annotation `org.opencontainers.image.ref.name`: the tag in an OCI layout

  PRUNELLA_FIELDS(index_entry, manifest, platform, name)
};

/// What a multi-platform image and an OCI layout's `index.json` are.
struct image_index {
  std::vector<index_entry> entries;

  PRUNELLA_FIELDS(image_index, entries)
};

struct image_manifest {
  std::string media_type; ///< the document's own, made explicit
  descriptor config;
  /// Lowest first. How each is packed is told by its first bytes: media types are not to be trusted with it.
  std::vector<descriptor> layers;

  /// All layers and the configuration, as stored and sent.
  std::uint64_t total_bytes() const;

  PRUNELLA_FIELDS(image_manifest, media_type, config, layers)
};

/// What a container inherits from its image.
struct image_config {
  storage::platform platform;
  std::string user;                     ///< `name`, `uid`, `name:group`, `uid:gid`, …; empty: root
  std::vector<std::string> environment; ///< `NAME=value`
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::string working_directory;          ///< empty: `/`
  std::string stop_signal;                ///< `SIGTERM`, `15`; empty: not said
  std::vector<std::string> exposed_ports; ///< `80/tcp`
  std::vector<std::string> volumes;       ///< paths that the image's author wants to be volumes
  std::map<std::string, std::string> labels;
  std::vector<storage::digest> diff_ids; ///< of the unpacked layers, lowest first

  PRUNELLA_FIELDS(image_config, platform, user, environment, entrypoint, command, working_directory, stop_signal,
                  exposed_ports, volumes, labels, diff_ids)
};

/// Reads what a reference leads to. `media_type` is what the transport says it is; empty: take the document's word. A
/// document that could be read as both an index and a manifest is refused, as is one that contradicts `media_type`.
/// Errors: `malformed` (with the path of the wrong member), `unsupported` (Docker schema 1, foreign layers, encrypted
/// layers, artifacts that are no images), `refused` (a bound).
result<std::variant<image_index, image_manifest>> read_manifest(std::string_view bytes,
                                                                std::string_view media_type = {});

/// An OCI layout's `index.json`. Errors as `read_manifest`.
result<image_index> read_index(std::string_view bytes);

/// Errors: `malformed`, `unsupported`, `refused`.
result<image_config> read_config(std::string_view bytes);

/// The entry of `index` for `wanted`: the first that runs on it. Entries that are no images (attestations) do not
/// count. Error: `unsupported`; the sentence lists the platforms there are.
result<index_entry> choose(const image_index& index, const platform& wanted);

/// Whether manifest and configuration belong together and run on `wanted`: as many layers as diff ids, the platform.
/// Errors: `malformed`, `unsupported`.
result<void> check_image(const image_manifest& manifest, const image_config& config, const platform& wanted);

/// For each layer the name of what it and all below it make (OCI image-spec, "Layer ChainID"): C(1) = D(1),
/// C(n) = sha256(text of C(n-1) + " " + text of D(n)).
std::vector<digest> chain_ids(const std::vector<digest>& diff_ids);

} // namespace prunella::storage
