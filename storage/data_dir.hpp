#pragma once

// The folder that holds all a host must not forget. It belongs to one host of one site, and to one agent at a time.

#include <memory>
#include <string>

#include "storage/errors.hpp"
#include "storage/process_lock.hpp"
#include "storage/site_database.hpp"

namespace prunella::storage {

inline constexpr int data_dir_format = 1;

/// A folder of this name may be there before the first start: the host's keys, put there by who set the machine up.
inline constexpr const char* tls_folder = "tls";

/// An opened data directory; the lock on it is held until this is destroyed.
class data_dir {
public:
  /// Opens `path`, or makes it (with missing parents; mode 0700). What is in it already must be this host's: each error
  /// says whose it is or what is in the way, and what to do. Errors: `foreign`, `newer_format`, `older_format`,
  /// `locked` (names the pid), `inaccessible` (not a folder, not ours, read-only, a file in it that this user may not
  /// write), `disk_full`, `damaged` (identity
  /// unreadable).
  static result<data_dir> open(const std::string& path, const host_owner& owner);

  const std::string& path() const { return path_; }
  bool created() const { return created_; } ///< by this open: the host is new here

  /// The path of a file in it: `file("raft.db")`.
  std::string file(const std::string& name) const { return path_ + "/" + name; }

private:
  data_dir(std::string path, process_lock lock, bool created)
      : path_(std::move(path)), lock_(std::move(lock)), created_(created) {}

  std::string path_;
  process_lock lock_;
  bool created_ = false;
};

/// The identity file's text, and its check against `owner`; `where` is the folder, for the sentence. Pure.
std::string identity_text(const host_owner& owner);
result<void> check_identity_text(const std::string& text, const host_owner& owner, const std::string& where);

} // namespace prunella::storage
