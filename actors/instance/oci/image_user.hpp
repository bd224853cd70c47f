#pragma once

// Whom an image's `USER` means, by the image's own user database. Pure, but for `read_in_root`.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "actors/instance/driver.hpp"
#include "config/fields.hpp"

namespace prunella::actors {

struct image_user {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups; ///< supplementary, ascending
  std::string home = "/";

  PRUNELLA_FIELDS(image_user, uid, gid, groups, home)
};

/// `user` as in an image or a spec: empty (root), `name`, `uid`, `name:group`, `uid:gid` and mixtures; `passwd` and
/// `group` are the texts of those files in the image, "" if there are none. As with Docker: a number needs no entry and
/// has group 0 without one; naming a group leaves the supplementary ones out. Lines that cannot be read are skipped.
/// Error: invalid_request, when a name is unknown or a number too large.
std::variant<image_user, driver_failure> resolve_user(std::string_view user, std::string_view passwd,
                                                      std::string_view group);

/// A larger file of users or groups counts as none.
inline constexpr std::size_t max_user_database = 1 << 20;

/// Whom a container runs as: the user of its spec, else that of its image, by `resolve_user`. `read` gives the bytes of a file
/// of the image, "" if there is none or it has more than so many bytes.
template <class Read>
std::variant<image_user, driver_failure> container_user(const std::string& of_spec, const std::string& of_image, Read&& read) {
  return resolve_user(of_spec.empty() ? of_image : of_spec, read("/etc/passwd", max_user_database),
                      read("/etc/group", max_user_database));
}

/// The bytes of `path` as a process whose root is `root` would see them, so no link in the image leads out of it; "" if
/// there is no such regular file, or it has more than `max_bytes`.
std::string read_in_root(const std::string& root, const std::string& path, std::size_t max_bytes);

} // namespace prunella::actors
