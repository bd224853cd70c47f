#pragma once

// How people name an image: `[registry/]name[:tag][@sha256:…]`. Pure.

#include <optional>
#include <string>
#include <string_view>

#include "config/fields.hpp"
#include "storage/images/digest.hpp"

namespace prunella::storage {

/// What a name without a registry or tag means, as with every other container tool.
inline constexpr std::string_view default_registry = "docker.io";
inline constexpr std::string_view default_tag = "latest";

/// A complete reference: the registry is always there, and a tag or a digest or both. With both, the digest decides and
/// the tag is for people.
struct image_reference {
  std::string registry;   ///< host or host:port
  std::string repository; ///< path in it, lower case
  std::string tag;        ///< may be empty when `pinned` is not
  digest pinned;          ///< empty `hex`: none

  bool is_pinned() const { return !pinned.hex.empty(); }
  /// `registry/repository[:tag][@digest]`: parses to the same value again.
  std::string text() const;
  /// Without tag and digest.
  std::string name() const { return registry + "/" + repository; }

  PRUNELLA_FIELDS(image_reference, registry, repository, tag, pinned)
};

/// The grammar of the distribution project: `busybox` is docker.io/library/busybox:latest, `shop/web:2` is
/// docker.io/shop/web:2, and a first part with a dot, a colon or the name `localhost` is a registry. Name at most 255
/// characters, tag 128. Error: `malformed`, saying which part is wrong and what would be right; `unsupported` for
/// another digest than SHA-256.
result<image_reference> parse_reference(std::string_view text);

} // namespace prunella::storage
