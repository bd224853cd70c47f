#include "storage/images/salvage.hpp"

#include <filesystem>
#include <sys/stat.h>

namespace prunella::storage {

namespace fs = std::filesystem;

namespace {

/// Keeps `file` if it is a whole blob that the store has not; only a broken disk is an error.
result<void> keep(const fs::path& file, blob_store& blobs) {
  auto name = parse_digest_hex(file.filename().string());
  struct stat status {};
  if (!name || ::lstat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode) || blobs.contains(*name))
    return {};
  auto taken = blobs.take({{}, *name, static_cast<std::uint64_t>(status.st_size)}, file.string());
  if (!taken && taken.error().code == storage_errc::unverified)
    return {};
  return taken;
}

} // namespace

result<void> salvage_import(const std::string& folder, blob_store& blobs) {
  // Blobs are only ever staged in such a folder; a layer that was being unpacked holds files of its own names.
  std::error_code error, none;
  for (fs::directory_iterator file(folder + "/blobs/sha256", none), last; !none && file != last; file.increment(none))
    if (auto kept = keep(file->path(), blobs); !kept)
      return kept;
  fs::remove_all(folder, error);
  if (error)
    return os_error(error.value(), "remove the folder " + folder);
  return {};
}

result<void> salvage_staging(const std::string& folder, blob_store& blobs) {
  if (auto made = make_folder(folder); !made)
    return made;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    if (auto kept = salvage_import(entry->path().string(), blobs); !kept)
      return kept;
  if (error)
    return os_error(error.value(), "empty the folder " + folder);
  return {};
}

} // namespace prunella::storage
