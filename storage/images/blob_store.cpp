#include "storage/images/blob_store.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace prunella::storage {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t chunk_bytes = 256 * 1024;

std::int64_t to_ms(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1000 + time.tv_nsec / 1'000'000;
}

storage_error no_such_blob(const digest& name) {
  return {storage_errc::not_found,
          "the blob " + name.text() + " is not on this host; pull the image it belongs to again"};
}

std::string wrong_size(const descriptor& expected, std::uint64_t found) {
  return "it has " + std::to_string(found) + " bytes instead of " + std::to_string(expected.size);
}

storage_error unverified(const descriptor& expected, const std::string& why) {
  return {storage_errc::unverified, "the blob " + expected.digest.text() + " is not what its digest promises: " + why +
                                        "; it was thrown away: pull again, and if that repeats, look at the source or "
                                        "at what lies between"};
}

/// Feeds the bytes from the file's position to its end to `use`, which may stop it by an error.
template <class Use>
result<void> read_all(int fd, const std::string& path, Use&& use) {
  std::vector<char> buffer(chunk_bytes);
  for (;;) {
    const auto got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return os_error(errno, "read " + path);
    if (got == 0)
      return {};
    if (auto used = use(std::string_view(buffer.data(), static_cast<std::size_t>(got))); !used)
      return used;
  }
}

result<unique_fd> open_source(const std::string& path, const descriptor& expected) {
  unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file && errno == ENOENT)
    return storage_error{storage_errc::not_found, "the blob " + expected.digest.text() + " is missing: there is no " +
                                                      path + "; export or copy the image again"};
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0)
    return os_error(errno, "open " + path);
  if (!S_ISREG(status.st_mode))
    return storage_error{storage_errc::refused, path + " is not a regular file; export or copy the image again"};
  if (static_cast<std::uint64_t>(status.st_size) != expected.size)
    return unverified(expected, wrong_size(expected, static_cast<std::uint64_t>(status.st_size)));
  return file;
}

result<std::vector<stored_part>> list_folder(const std::string& folder) {
  std::vector<stored_part> parts;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    auto name = parse_digest_hex(entry->path().filename().string());
    struct stat status {};
    if (name && ::lstat(entry->path().c_str(), &status) == 0 && S_ISREG(status.st_mode))
      parts.push_back({std::move(*name), static_cast<std::uint64_t>(status.st_size), to_ms(status.st_mtim)});
  }
  if (error)
    return os_error(error.value(), "list the folder " + folder);
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return parts;
}

} // namespace

result<void> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0)
    return sync_folder(folder_of(path));
  const int failed = errno;
  if (failed == EEXIST && fs::is_directory(path))
    return {};
  return os_error(failed == EEXIST ? ENOTDIR : failed, "create the folder " + path);
}

result<void> verify_file(const std::string& path, const descriptor& expected) {
  auto file = open_source(path, expected);
  if (!file)
    return file.error();
  sha256 hash;
  auto read = read_all(file->get(), path, [&](std::string_view bytes) -> result<void> {
    hash.add(bytes);
    return {};
  });
  if (!read)
    return read;
  const auto found = to_digest(hash.finish());
  if (found != expected.digest)
    return unverified(expected, "its bytes are those of " + found.text());
  return {};
}

storage_error blob_writer::throw_away(const std::string& why) {
  ::unlink(partial_.c_str());
  file_ = unique_fd();
  return unverified(expected_, why);
}

result<void> blob_writer::hash_what_is_there() {
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0)
    return os_error(errno, "look at " + partial_);
  if (static_cast<std::uint64_t>(status.st_size) > expected_.size && ::ftruncate(file_.get(), 0) != 0)
    return os_error(errno, "empty " + partial_);
  return read_all(file_.get(), partial_, [&](std::string_view bytes) -> result<void> {
    hash_.add(bytes);
    offset_ += bytes.size();
    return {};
  });
}

result<void> blob_writer::write(std::string_view bytes) {
  if (!file_)
    return storage_error{storage_errc::invalid_argument, "the writer of " + expected_.digest.text() + " is spent"};
  if (bytes.size() > expected_.size - offset_)
    return throw_away("it has more than the " + std::to_string(expected_.size) + " bytes announced");
  while (!bytes.empty()) {
    const auto written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return os_error(errno, "write " + partial_);
    const auto done = static_cast<std::size_t>(written);
    hash_.add(bytes.substr(0, done));
    offset_ += done;
    bytes.remove_prefix(done);
  }
  return {};
}

result<void> blob_writer::commit() {
  if (!file_)
    return storage_error{storage_errc::invalid_argument, "the writer of " + expected_.digest.text() + " is spent"};
  if (offset_ < expected_.size)
    return storage_error{storage_errc::malformed,
                         "the blob " + expected_.digest.text() + " ended after " + std::to_string(offset_) + " of " +
                             std::to_string(expected_.size) + " bytes; what is there is kept: pull again for the rest"};
  const auto found = to_digest(hash_.finish());
  if (found != expected_.digest)
    return throw_away("its bytes are those of " + found.text());
  if (::fsync(file_.get()) != 0)
    return os_error(errno, "sync " + partial_);
  if (::rename(partial_.c_str(), final_.c_str()) != 0)
    return os_error(errno, "rename " + partial_ + " to " + final_);
  file_ = unique_fd();
  return sync_folder(folder_of(final_));
}

result<blob_store> blob_store::open(const std::string& folder) {
  for (const auto* part : {"", "/blobs", "/blobs/sha256", "/partial"})
    if (auto made = make_folder(folder + part); !made)
      return made.error();
  return blob_store(folder + "/blobs/sha256", folder + "/partial");
}

result<std::uint64_t> blob_store::size(const digest& name) const {
  struct stat status {};
  if (::lstat(path(name).c_str(), &status) != 0)
    return errno == ENOENT ? no_such_blob(name) : os_error(errno, "look at " + path(name));
  return static_cast<std::uint64_t>(status.st_size);
}

result<std::string> blob_store::read(const digest& name, std::uint64_t offset, std::size_t max_bytes) const {
  unique_fd file(::open(path(name).c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0)
    return errno == ENOENT ? no_such_blob(name) : os_error(errno, "open " + path(name));
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (offset > size)
    return storage_error{storage_errc::invalid_argument, "the blob " + name.text() + " has " + std::to_string(size) +
                                                             " bytes, none at " + std::to_string(offset)};
  std::string bytes(std::min({static_cast<std::uint64_t>(max_bytes), std::uint64_t{max_read_bytes}, size - offset}),
                    '\0');
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const auto got =
        ::pread(file.get(), bytes.data() + filled, bytes.size() - filled, static_cast<off_t>(offset + filled));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return os_error(errno, "read " + path(name));
    if (got == 0)
      break; // it became shorter meanwhile: the digest at the other end will tell
    filled += static_cast<std::size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

result<std::string> blob_store::read_document(const digest& name) const {
  auto found = size(name);
  if (!found)
    return found.error();
  if (*found > max_document_bytes)
    return storage_error{storage_errc::refused, "the blob " + name.text() + " has " + std::to_string(*found) +
                                                    " bytes: too many for a manifest or a configuration"};
  auto bytes = read_small_file(path(name), max_document_bytes);
  if (bytes && digest_of(*bytes) != name) {
    ::unlink(path(name).c_str());
    return storage_error{storage_errc::damaged,
                         "the blob " + name.text() +
                             " has changed on the disk, so it was removed; pull the image again, "
                             "and look at the disk's health (`dmesg`)"};
  }
  return bytes;
}

result<blob_writer> blob_store::write(const descriptor& expected) {
  const auto partial = partial_ + "/" + expected.digest.hex;
  unique_fd file(::open(partial.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file)
    return os_error(errno, "create " + partial);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0)
    return storage_error{storage_errc::locked,
                         "the blob " + expected.digest.text() + " is just being fetched; wait for that to end"};
  blob_writer writer(expected, partial, path(expected.digest), std::move(file));
  if (auto hashed = writer.hash_what_is_there(); !hashed)
    return hashed.error();
  return writer;
}

result<void> blob_store::put(const descriptor& expected, std::string_view bytes) {
  if (contains(expected.digest))
    return {};
  auto writer = write(expected);
  if (!writer)
    return writer.error();
  // The start of it may be there from a cut transfer; what is hashed is what the file holds.
  if (writer->offset() > bytes.size())
    return writer->commit();
  if (auto written = writer->write(bytes.substr(writer->offset())); !written)
    return written;
  return writer->commit();
}

result<void> blob_store::copy(const descriptor& expected, const std::string& from) {
  if (contains(expected.digest))
    return {};
  auto source = open_source(from, expected);
  if (!source)
    return source.error();
  auto writer = write(expected);
  if (!writer)
    return writer.error();
  if (::lseek(source->get(), static_cast<off_t>(writer->offset()), SEEK_SET) < 0)
    return os_error(errno, "read " + from);
  auto copied = read_all(source->get(), from, [&](std::string_view bytes) { return writer->write(bytes); });
  return copied ? writer->commit() : copied;
}

result<void> blob_store::take(const descriptor& expected, const std::string& from) {
  if (contains(expected.digest)) {
    ::unlink(from.c_str());
    return {};
  }
  if (auto verified = verify_file(from, expected); !verified) {
    if (verified.error().code == storage_errc::unverified)
      ::unlink(from.c_str());
    return verified;
  }
  unique_fd file(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file || ::fchmod(file.get(), 0600) != 0 || ::fsync(file.get()) != 0)
    return os_error(errno, "sync " + from);
  if (::rename(from.c_str(), path(expected.digest).c_str()) != 0)
    return os_error(errno, "move " + from + " into " + blobs_);
  ::unlink((partial_ + "/" + expected.digest.hex).c_str());
  return sync_folder(blobs_);
}

result<void> blob_store::remove(const digest& name) {
  for (const auto& file : {path(name), partial_ + "/" + name.hex})
    if (::unlink(file.c_str()) != 0 && errno != ENOENT)
      return os_error(errno, "remove " + file);
  return {};
}

result<std::vector<stored_part>> blob_store::list() const {
  return list_folder(blobs_);
}

result<std::vector<stored_part>> blob_store::list_partial() const {
  return list_folder(partial_);
}

} // namespace prunella::storage
