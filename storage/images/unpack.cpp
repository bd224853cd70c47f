// Writing a layer to the disk; the names are read in unpack_name.cpp. libarchive reads the tar and makes the files;
// here are the bounds, the folders that the tar takes for granted, and overlayfs' form of whiteouts.

#include "storage/images/unpack.hpp"

#include <algorithm>
#include <archive.h>
#include <archive_entry.h>
#include <cerrno>
#include <climits>
#include <clocale>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <set>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utility>

#include "config/quantity.hpp"
#include "storage/images/tar_stream.hpp"
#include "storage/os_files.hpp"

namespace prunella::storage {

namespace {

using kind = layer_entry::kind;

/// The tar may be larger than its files by so much per entry: header, long names, attributes, padding.
constexpr std::uint64_t overhead_per_entry = 8192;
constexpr std::uint64_t padding_bytes = 1u << 20;

constexpr const char* opaque_attribute = "trusted.overlay.opaque";

storage_error refuse(const std::string& why) {
  return {storage_errc::refused, "the layer is refused: " + why + "; look at who built the image, or build it again"};
}

/// libarchive turns names through the locale's character set, and in the C locale gives up at the first umlaut. Only
/// this thread is switched, and only for as long as this lives.
class utf8_names {
public:
  utf8_names() : utf8_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (utf8_ != nullptr)
      before_ = ::uselocale(utf8_);
  }
  utf8_names(const utf8_names&) = delete;
  utf8_names& operator=(const utf8_names&) = delete;
  ~utf8_names() {
    if (utf8_ != nullptr) {
      ::uselocale(before_);
      ::freelocale(utf8_);
    }
  }

private:
  locale_t utf8_ = nullptr;
  locale_t before_ = nullptr;
};

bool is_opaque(const std::string& folder) {
  char value = 0;
  return ::lgetxattr(folder.c_str(), opaque_attribute, &value, 1) == 1 && value == 'y';
}

/// The folder `path` as the layers below show it; false if they show none.
bool find_below(const std::vector<std::string>& lower, const std::string& path, struct stat& status) {
  for (const auto& layer : lower) {
    auto at = layer;
    bool hidden = false, here = true;
    for (std::size_t from = 0; here && from <= path.size();) {
      const auto slash = std::min(path.find('/', from), path.size());
      hidden = hidden || is_opaque(at);
      at += "/" + path.substr(from, slash - from);
      from = slash + 1;
      here = ::lstat(at.c_str(), &status) == 0;
      if (here && !S_ISDIR(status.st_mode))
        return false; // a whiteout, or a file where the tar wants a folder
    }
    if (here || hidden)
      return here;
  }
  return false;
}

class layer_writer {
public:
  layer_writer(std::string into, const std::vector<std::string>& lower, const unpack_limits& limits)
      : into_(std::move(into)), lower_(lower), limits_(limits), disk_(archive_write_disk_new()) {
    if (!disk_)
      throw std::bad_alloc();
    // Owners by number: no lookup is set. Folders above an entry are made here, with what the layers below say.
    archive_write_disk_set_options(disk_.get(), ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
                                                    ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
                                                    ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_NO_AUTODIR |
                                                    ARCHIVE_EXTRACT_SPARSE);
  }

  /// The root is taken for granted by most tars, too: that of the layers below.
  result<void> inherit_root();
  result<void> write(tar_stream& tar, archive_entry* entry);
  result<unpacked_layer> finish();

private:
  struct made_folder {
    std::string path;
    timespec times[2];
  };

  result<void> check_type(archive_entry* entry, const std::string& path);
  result<void> count(archive_entry* entry, const std::string& path);
  result<void> make_parents(const std::string& path);
  result<void> make_missing_folder(const std::string& path);
  result<void> point_hard_link(archive_entry* entry, const std::string& path);
  result<void> write_data(tar_stream& tar, const std::string& path);
  result<void> apply_whiteout(const std::string& path);
  result<void> set_opaque(const std::string& path);
  storage_error disk_error(const std::string& path) const;
  std::string full(const std::string& path) const { return path.empty() ? into_ : into_ + "/" + path; }

  std::string into_;
  const std::vector<std::string>& lower_;
  unpack_limits limits_;
  archive_handle disk_;
  unpacked_layer done_;
  std::set<std::string> known_folders_{""};
  std::vector<made_folder> made_;
  std::set<std::string> whiteouts_, opaques_;
};

void keep_safe_attributes(archive_entry* entry) {
  std::vector<std::pair<std::string, std::string>> kept;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  archive_entry_xattr_reset(entry);
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    const std::string_view attribute(name);
    // `trusted.overlay.*` and `user.overlay.*` steer overlayfs itself: a layer that sets them could show other files.
    const bool safe = attribute == "security.capability" ||
                      (attribute.substr(0, 5) == "user." && attribute.substr(0, 13) != "user.overlay.");
    if (safe)
      kept.emplace_back(name, std::string(static_cast<const char*>(value), size));
  }
  archive_entry_xattr_clear(entry);
  for (const auto& [attribute, bytes] : kept)
    archive_entry_xattr_add_entry(entry, attribute.c_str(), bytes.data(), bytes.size());
}

result<void> layer_writer::check_type(archive_entry* entry, const std::string& path) {
  if (archive_entry_hardlink(entry) != nullptr)
    return {};
  switch (archive_entry_filetype(entry)) {
  case AE_IFREG:
  case AE_IFDIR:
  case AE_IFLNK:
  case AE_IFIFO:
    return {};
  case AE_IFCHR:
  case AE_IFBLK:
    return refuse("'" + path + "' in it is a device node");
  default:
    return refuse("'" + path + "' in it is neither a file, a folder, a link nor a pipe");
  }
}

result<void> layer_writer::count(archive_entry* entry, const std::string& path) {
  if (++done_.entries > limits_.entries)
    return refuse("it has more than " + std::to_string(limits_.entries) + " entries");
  const auto size = static_cast<std::uint64_t>(std::max<la_int64_t>(archive_entry_size(entry), 0));
  if (size > limits_.bytes - done_.bytes)
    return refuse("with '" + path + "' (" + std::to_string(size) + " bytes) its files have more than the " +
                  std::to_string(limits_.bytes) + " bytes allowed");
  if (size > limits_.room - done_.bytes)
    return storage_error{storage_errc::disk_full,
                         "there is no room for what is in it, '" + path + "' among others: it may take " +
                             config::shown_bytes(static_cast<std::int64_t>(std::min(limits_.room, std::uint64_t{1} << 62))) +
                             " more; free some space on the file system of the data directory (images that nobody needs go by "
                             "themselves)"};
  done_.bytes += size;
  return {};
}

result<void> layer_writer::inherit_root() {
  struct stat below {};
  if (lower_.empty())
    return {};
  if (::lstat(lower_.front().c_str(), &below) != 0 || ::lchown(into_.c_str(), below.st_uid, below.st_gid) != 0 ||
      ::chmod(into_.c_str(), below.st_mode & 07777) != 0)
    return os_error(errno, "prepare " + into_);
  return {};
}

result<void> layer_writer::make_missing_folder(const std::string& path) {
  struct stat below {};
  const bool found = find_below(lower_, path, below);
  const auto at = full(path);
  if (::mkdir(at.c_str(), 0755) != 0 || (found && ::lchown(at.c_str(), below.st_uid, below.st_gid) != 0) ||
      ::chmod(at.c_str(), found ? below.st_mode & 07777 : 0755) != 0)
    return os_error(errno, "make the folder " + at);
  if (found)
    made_.push_back({path, {below.st_atim, below.st_mtim}});
  return {};
}

/// Every folder above `path` is there, and is a folder.
result<void> layer_writer::make_parents(const std::string& path) {
  for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const auto parent = path.substr(0, slash);
    if (known_folders_.count(parent) != 0)
      continue;
    struct stat status {};
    if (::lstat(full(parent).c_str(), &status) != 0) {
      if (errno != ENOENT)
        return os_error(errno, "look at " + full(parent));
      if (auto made = make_missing_folder(parent); !made)
        return made;
    } else if (!S_ISDIR(status.st_mode)) {
      return refuse("'" + path + "' in it goes through '" + parent + "', which is " +
                    (S_ISLNK(status.st_mode) ? "a symbolic link" : "no folder"));
    }
    known_folders_.insert(parent);
  }
  return {};
}

/// Makes the target of a hard link a path of this layer; it must be there already.
result<void> layer_writer::point_hard_link(archive_entry* entry, const std::string& path) {
  const char* named = archive_entry_hardlink(entry);
  if (named == nullptr)
    return {};
  auto target = read_entry_name(named);
  if (!target || target->what != kind::file)
    return refuse("'" + path + "' in it is a hard link to '" + std::string(named).substr(0, 200) +
                  "', which is not a path within the image");
  struct stat status {};
  if (auto parents = make_parents(target->path); !parents)
    return parents;
  if (::lstat(full(target->path).c_str(), &status) != 0 || S_ISDIR(status.st_mode))
    return refuse("'" + path + "' in it is a hard link to '" + target->path + "', which is no file of this layer");
  archive_entry_set_hardlink(entry, full(target->path).c_str());
  return {};
}

storage_error layer_writer::disk_error(const std::string& path) const {
  const int number = archive_errno(disk_.get());
  const char* text = archive_error_string(disk_.get());
  if (means_no_room(number))
    return os_error(number, "unpack '" + path + "'");
  if (number == EPERM || number == EACCES)
    return {storage_errc::inaccessible, "cannot unpack '" + path + "': " + (text == nullptr ? "" : text) +
                                            "; unpacking an image needs root, as files get their owners in it"};
  if (number == EIO)
    return os_error(number, "unpack '" + path + "'");
  return refuse("'" + path + "' in it cannot be made (" + (text == nullptr ? "no reason given" : text) + ")");
}

result<void> layer_writer::write_data(tar_stream& tar, const std::string& path) {
  for (;;) {
    const void* bytes = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int read = archive_read_data_block(tar.tar(), &bytes, &size, &offset);
    if (read == ARCHIVE_EOF)
      return {};
    if (read < ARCHIVE_WARN)
      return tar.error();
    if (archive_write_data_block(disk_.get(), bytes, size, offset) < ARCHIVE_OK)
      return disk_error(path);
  }
}

result<void> layer_writer::write(tar_stream& tar, archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  if (name == nullptr)
    return refuse("a name in it is not readable as text");
  auto meant = read_entry_name(name);
  if (!meant)
    return meant.error();
  const auto& path = meant->path;
  if (auto counted = count(entry, path); !counted)
    return counted;
  if (meant->what == kind::whiteout)
    whiteouts_.insert(path);
  if (meant->what == kind::opaque)
    opaques_.insert(path);
  if (meant->what != kind::file)
    return {};
  const bool folder = archive_entry_hardlink(entry) == nullptr && archive_entry_filetype(entry) == AE_IFDIR;
  if (path.empty() && !folder)
    return refuse("its root is no folder");
  auto prepared = check_type(entry, path);
  if (prepared)
    prepared = make_parents(path);
  if (prepared)
    prepared = point_hard_link(entry, path);
  if (!prepared)
    return prepared;
  archive_entry_set_pathname(entry, full(path).c_str());
  archive_entry_acl_clear(entry);
  keep_safe_attributes(entry);
  if (!folder)
    known_folders_.erase(path); // an empty folder may be replaced; what lies in it is refused below
  if (archive_write_header(disk_.get(), entry) != ARCHIVE_OK)
    return disk_error(path);
  if (auto written = write_data(tar, path); !written)
    return written;
  return archive_write_finish_entry(disk_.get()) == ARCHIVE_OK ? result<void>{} : disk_error(path);
}

result<void> layer_writer::set_opaque(const std::string& path) {
  if (auto parents = make_parents(path + "/"); !parents)
    return parents;
  if (::lsetxattr(full(path).c_str(), opaque_attribute, "y", 1, 0) != 0)
    return os_error(errno, "mark '" + path + "' as covering the layers below");
  return {};
}

result<void> layer_writer::apply_whiteout(const std::string& path) {
  if (auto parents = make_parents(path); !parents)
    return parents;
  struct stat status {};
  if (::lstat(full(path).c_str(), &status) == 0)
    // Both in one layer: the whiteout concerns the layers below only. A new file covers those anyhow.
    return S_ISDIR(status.st_mode) ? set_opaque(path) : result<void>{};
  if (::mknod(full(path).c_str(), S_IFCHR, makedev(0, 0)) != 0)
    return os_error(errno, "make the whiteout of '" + path + "'");
  return {};
}

result<unpacked_layer> layer_writer::finish() {
  // Only now: a whiteout may come before the folder that replaces what it hides, and before folder times are set.
  for (const auto& path : whiteouts_)
    if (auto applied = apply_whiteout(path); !applied)
      return applied.error();
  for (const auto& path : opaques_)
    if (auto applied = set_opaque(path); !applied)
      return applied.error();
  if (archive_write_close(disk_.get()) != ARCHIVE_OK)
    return disk_error("");
  for (const auto& folder : made_)
    ::utimensat(AT_FDCWD, full(folder.path).c_str(), folder.times, AT_SYMLINK_NOFOLLOW);
  return done_;
}

} // namespace

result<unpacked_layer> unpack_layer(const std::string& blob_path, const descriptor& blob, const digest& diff_id,
                                    const std::vector<std::string>& lower, const std::string& into,
                                    const unpack_limits& limits) {
  utf8_names names;
  auto tar = tar_stream::open(blob_path, limits.bytes + limits.entries * overhead_per_entry + padding_bytes);
  if (!tar)
    return tar.error();
  // libarchive refuses symbolic links anywhere in a path, so the folder is named without any.
  std::unique_ptr<char, decltype(&std::free)> real(::realpath(into.c_str(), nullptr), &std::free);
  if (!real)
    return os_error(errno, "unpack into " + into);
  layer_writer writer(real.get(), lower, limits);
  if (auto inherited = writer.inherit_root(); !inherited)
    return inherited.error();
  for (;;) {
    archive_entry* entry = nullptr;
    const int next = archive_read_next_header((*tar)->tar(), &entry);
    if (next == ARCHIVE_EOF)
      break;
    if (next < ARCHIVE_WARN)
      return (*tar)->error();
    if (auto written = writer.write(**tar, entry); !written)
      return written.error();
  }
  auto found = (*tar)->finish();
  if (!found)
    return found.error();
  if (*found != diff_id)
    return storage_error{storage_errc::unverified, "the layer " + blob.digest.text() +
                                                       " does not unpack to what the image's configuration promises (" +
                                                       diff_id.text() + " and not " + found->text() +
                                                       "); push or export the image again"};
  return writer.finish();
}

} // namespace prunella::storage
