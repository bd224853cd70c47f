#pragma once

// How people name an image: `[registry/]name[:tag][@sha256:…]`. Only the grammar, so that a spec can be judged by it; what is
// done with such a name is storage's (`storage/images/reference.hpp`). Pure.

#include <string>
#include <string_view>

namespace prunella::config {

/// What a name without a registry or tag means, as with every other container tool.
inline constexpr std::string_view default_image_registry = "docker.io";
inline constexpr std::string_view default_image_tag = "latest";

inline constexpr std::string_view image_reference_form = "[registry/]name[:tag][@sha256:...]";

/// A complete name by its parts, or what is wrong with it.
struct parsed_image_reference {
  std::string registry;        ///< host or host:port
  std::string repository;      ///< path in it, lower case
  std::string tag;             ///< may be empty when `digest` is not
  std::string digest;          ///< `sha256:…`; empty: none
  std::string error;           ///< which part is wrong, and what would be right; empty: none is
  bool is_unsupported = false; ///< the error is a digest of another algorithm
};

/// The grammar of the distribution project: `busybox` is docker.io/library/busybox:latest, `shop/web:2` is
/// docker.io/shop/web:2, and a first part with a dot, a colon or the name `localhost` is a registry. Name at most 255
/// characters, tag 128.
parsed_image_reference parse_image_reference(std::string_view text);

/// What is wrong with the name of a blob, `sha256:` and 64 lower-case hexadecimal digits; no error: nothing.
struct digest_problem {
  std::string error;
  bool is_unsupported = false;
};
digest_problem find_digest_problem(std::string_view text);

} // namespace prunella::config
