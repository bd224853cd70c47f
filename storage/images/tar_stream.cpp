#include "storage/images/tar_stream.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <new>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace prunella::storage {

namespace {

constexpr std::size_t chunk_bytes = 128 * 1024;

std::string words_of(archive* failed) {
  const char* text = archive_error_string(failed);
  return text == nullptr ? "no reason given" : text;
}

} // namespace

void archive_freer::operator()(archive* owned) const {
  archive_free(owned);
}

long tar_stream::read_blob(archive* from, void* self, const void** buffer) {
  auto& stream = *static_cast<tar_stream*>(self);
  *buffer = stream.packed_.data();
  for (;;) {
    const auto got = ::read(stream.file_.get(), stream.packed_.data(), stream.packed_.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0) {
      stream.failed_ = os_error(errno, "read " + stream.path_);
      archive_set_error(from, errno, "read failed");
    }
    return got;
  }
}

long tar_stream::read_tar(archive* from, void* self, const void** buffer) {
  auto& stream = *static_cast<tar_stream*>(self);
  // libarchive takes reading on behind the end (of an empty blob, to begin with) for a fault of the caller.
  const auto got = stream.ended_ ? 0 : archive_read_data(stream.raw_.get(), stream.plain_.data(), stream.plain_.size());
  stream.ended_ = got == 0;
  if (got < 0) {
    if (!stream.failed_)
      stream.failed_ = {storage_errc::malformed,
                        stream.said_.what + " cannot be decompressed: " + words_of(stream.raw_.get()) + "; " + stream.said_.next_step};
    archive_set_error(from, EIO, "decompression failed");
    return ARCHIVE_FATAL;
  }
  const auto bytes = static_cast<std::size_t>(got);
  if (bytes > stream.left_) {
    stream.failed_ = {storage_errc::refused,
                      "the layer is refused: it unpacks to more bytes than a layer may have; raise "
                      "the limit if that is meant, or look at who built the image"};
    archive_set_error(from, EFBIG, "too large");
    return ARCHIVE_FATAL;
  }
  stream.left_ -= bytes;
  stream.hash_.add({stream.plain_.data(), bytes});
  *buffer = stream.plain_.data();
  return got;
}

result<std::unique_ptr<tar_stream>> tar_stream::open_archive(const std::string& path) {
  return open(path, std::uint64_t{1} << 40,
              {"the file " + path, "if it was copied here, copy it again; else make it anew with `docker save`, `podman save` or `skopeo copy`"});
}

result<std::unique_ptr<tar_stream>> tar_stream::open(const std::string& path, std::uint64_t max_bytes, words said) {
  std::unique_ptr<tar_stream> stream(new tar_stream);
  stream->said_ = std::move(said);
  stream->path_ = path;
  stream->left_ = max_bytes;
  stream->packed_.resize(chunk_bytes);
  stream->plain_.resize(chunk_bytes);
  stream->file_ = unique_fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)); // a pipe would not open
  if (!stream->file_)
    return os_error(errno, "open " + path);
  struct stat about {};
  if (::fstat(stream->file_.get(), &about) != 0 || !S_ISREG(about.st_mode))
    return storage_error{storage_errc::malformed, path + " is no file; give the archive itself"};
  stream->raw_.reset(archive_read_new());
  stream->tar_.reset(archive_read_new());
  if (!stream->raw_ || !stream->tar_)
    throw std::bad_alloc();
  auto* raw = stream->raw_.get();
  archive_read_support_filter_gzip(raw);
  archive_read_support_filter_zstd(raw);
  archive_read_support_format_raw(raw);
  archive_read_support_format_empty(raw);
  archive_entry* whole = nullptr;
  int opened = archive_read_open(raw, stream.get(), nullptr, read_blob, nullptr);
  if (opened == ARCHIVE_OK)
    opened = archive_read_next_header(raw, &whole);
  if (opened == ARCHIVE_OK || opened == ARCHIVE_EOF) {
    stream->ended_ = opened == ARCHIVE_EOF;
    archive_read_support_format_tar(stream->tar());
    archive_read_support_format_empty(stream->tar());
    opened = archive_read_open(stream->tar(), stream.get(), nullptr, read_tar, nullptr);
  } else if (!stream->failed_) {
    stream->failed_ = {storage_errc::malformed,
                       stream->said_.what + " cannot be decompressed: " + words_of(raw) + "; " + stream->said_.next_step};
  }
  if (opened != ARCHIVE_OK)
    return stream->error();
  return stream;
}

result<void> tar_stream::each_file(int most_entries, const std::function<bool(const std::string& name)>& see) {
  for (int n = 0; n < most_entries; ++n) {
    archive_entry* entry = nullptr;
    const int next = archive_read_next_header(tar(), &entry);
    if (next == ARCHIVE_EOF)
      break;
    if (next < ARCHIVE_WARN)
      return error();
    const char* name = archive_entry_pathname(entry);
    if (!see(name == nullptr ? std::string{} : std::filesystem::path(name).lexically_normal().string()))
      break;
  }
  return {};
}

std::string tar_stream::read_entry(std::size_t max_bytes) {
  std::string bytes;
  char buffer[16 * 1024];
  while (bytes.size() <= max_bytes) {
    const auto got = archive_read_data(tar(), buffer, sizeof buffer);
    if (got <= 0)
      break;
    bytes.append(buffer, static_cast<std::size_t>(got));
  }
  return bytes;
}

storage_error tar_stream::error() const {
  if (failed_)
    return *failed_;
  return {storage_errc::malformed,
          said_.what + " is no valid tar: " + words_of(tar_.get()) + "; " + said_.next_step};
}

result<digest> tar_stream::finish() {
  // Behind the end of the tar lies padding that belongs to what was hashed.
  const void* ignored = nullptr;
  for (;;) {
    const auto got = read_tar(tar_.get(), this, &ignored);
    if (got < 0)
      return error();
    if (got == 0)
      return to_digest(hash_.finish());
  }
}

} // namespace prunella::storage
