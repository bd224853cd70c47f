#include "storage/images/blob_store.hpp"

#include <csignal>
#include <filesystem>
#include <random>
#include <sys/wait.h>

#include "storage/images/salvage.hpp"
#include "tests/storage/damage.hpp"
#include "tests/storage/images/image_builder.hpp"
#include "tests/storage/outcome.hpp"
#include "tests/storage/small_disk.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella;
using namespace prunella::tests;
using storage::storage_errc;

namespace {

storage::blob_store open_blobs(const std::string& folder) {
  return must(storage::blob_store::open(folder));
}

/// Writes `bytes` in pieces for ever, telling through `pipe` how far it came; from the start when it was committed.
[[noreturn]] void write_until_killed(const std::string& folder, const std::string& bytes, int pipe) {
  auto blobs = storage::blob_store::open(folder);
  if (!blobs)
    ::_exit(1);
  for (;;) {
    auto writer = blobs->write(descriptor_of(bytes));
    if (!writer)
      ::_exit(2);
    while (writer->offset() < bytes.size()) {
      if (!writer->write(std::string_view(bytes).substr(writer->offset(), 4096)))
        ::_exit(3);
      const auto offset = writer->offset();
      if (::write(pipe, &offset, sizeof(offset)) != sizeof(offset))
        ::_exit(4);
    }
    if (!writer->commit())
      ::_exit(5);
    if (!blobs->remove(storage::digest_of(bytes)))
      ::_exit(6);
  }
}

} // namespace

TEST_CASE("a blob comes back whole, in ranges, and not from behind its end") {
  temporary_folder folder;
  auto blobs = open_blobs(folder / "images");
  const auto bytes = noise(storage::max_read_bytes + 1000);
  const auto name = storage::digest_of(bytes);
  CHECK_FALSE(blobs.contains(name));
  check_refused(blobs.read(name, 0, 10), storage_errc::not_found, "pull the image");
  must(blobs.put(descriptor_of(bytes), bytes));
  must(blobs.put(descriptor_of(bytes), bytes)); // again is fine
  CHECK(must(blobs.size(name)) == bytes.size());
  CHECK(must(blobs.read(name, 5, 10)) == bytes.substr(5, 10));
  CHECK(must(blobs.read(name, 0, bytes.size())).size() == storage::max_read_bytes);
  CHECK(must(blobs.read(name, bytes.size() - 3, 10)) == bytes.substr(bytes.size() - 3));
  CHECK(must(blobs.read(name, bytes.size(), 10)).empty());
  check_refused(blobs.read(name, bytes.size() + 1, 10), storage_errc::invalid_argument, "none at");
  const auto listed = must(blobs.list());
  REQUIRE(listed.size() == 1);
  CHECK(listed[0].name == name);
  CHECK(listed[0].bytes == bytes.size());
  CHECK(must(blobs.list_partial()).empty());
  must(blobs.remove(name));
  must(blobs.remove(name));
  CHECK(must(blobs.list()).empty());
}

TEST_CASE("an empty blob is a blob") {
  temporary_folder folder;
  auto blobs = open_blobs(folder / "images");
  must(blobs.put(descriptor_of(""), ""));
  CHECK(must(blobs.read(storage::digest_of(""), 0, 10)).empty());
}

TEST_CASE("a cut transfer goes on where it stopped, also in the next run, and is verified as a whole") {
  temporary_folder folder;
  const auto bytes = noise(100'000);
  {
    auto blobs = open_blobs(folder / "images");
    auto writer = must(blobs.write(descriptor_of(bytes)));
    must(writer.write(bytes.substr(0, 70'000)));
    check_refused(writer.commit(), storage_errc::malformed, "70000 of 100000 bytes");
    CHECK_FALSE(blobs.contains(storage::digest_of(bytes)));
  }
  auto blobs = open_blobs(folder / "images");
  CHECK(must(blobs.list_partial()).at(0).bytes == 70'000);
  auto writer = must(blobs.write(descriptor_of(bytes)));
  CHECK(writer.offset() == 70'000);
  must(writer.write(bytes.substr(70'000)));
  must(writer.commit());
  CHECK(must(blobs.read(storage::digest_of(bytes), 0, bytes.size())) == bytes);
  CHECK(must(blobs.list_partial()).empty());
}

TEST_CASE("a small blob that was cut before is completed when it is put") {
  temporary_folder folder;
  auto blobs = open_blobs(folder / "images");
  const auto bytes = noise(1000);
  must(must(blobs.write(descriptor_of(bytes))).write(bytes.substr(0, 400)));
  must(blobs.put(descriptor_of(bytes), bytes));
  CHECK(must(blobs.read_document(storage::digest_of(bytes))) == bytes);
}

TEST_CASE("bytes that are not the promised ones are thrown away, and the next transfer starts at 0") {
  temporary_folder folder;
  auto blobs = open_blobs(folder / "images");
  const auto bytes = noise(10'000);
  const auto expected = descriptor_of(bytes);
  {
    auto writer = must(blobs.write(expected));
    must(writer.write(flipped(bytes, 77)));
    check_refused(writer.commit(), storage_errc::unverified, "its bytes are those of sha256:");
    check_refused(writer.write("x"), storage_errc::invalid_argument, "spent");
  }
  CHECK(must(blobs.list_partial()).empty());
  {
    auto writer = must(blobs.write(expected));
    CHECK(writer.offset() == 0);
    must(writer.write(bytes));
    check_refused(writer.write("x"), storage_errc::unverified, "more than the 10000 bytes announced");
  }
  CHECK(must(blobs.list_partial()).empty());
  CHECK(must(blobs.list()).empty());
}

TEST_CASE("a partial file that became longer than the blob is started anew") {
  temporary_folder folder;
  auto blobs = open_blobs(folder / "images");
  const auto bytes = noise(1000);
  write_bytes(folder / "images/partial/" + storage::digest_of(bytes).hex, bytes + "x");
  CHECK(must(blobs.write(descriptor_of(bytes))).offset() == 0);
}

TEST_CASE("a second writer of the same blob is refused while the first one lives") {
  temporary_folder folder;
  auto blobs = open_blobs(folder / "images");
  {
    const auto first = must(blobs.write(descriptor_of("abc")));
    check_refused(blobs.write(descriptor_of("abc")), storage_errc::locked, "just being fetched");
    must(blobs.write(descriptor_of("other")));
  }
  must(blobs.write(descriptor_of("abc")));
}

TEST_CASE("files are copied and moved in only when they are what was promised") {
  temporary_folder folder;
  auto blobs = open_blobs(folder / "images");
  const auto bytes = noise(300'000);
  const auto expected = descriptor_of(bytes);
  const auto source = folder / "source";
  check_refused(blobs.copy(expected, source), storage_errc::not_found, "is missing: there is no");
  write_bytes(source, bytes.substr(1));
  check_refused(blobs.copy(expected, source), storage_errc::unverified, "299999 bytes instead of 300000");
  write_bytes(source, flipped(bytes, 1234567));
  check_refused(blobs.copy(expected, source), storage_errc::unverified, "its bytes are those of");
  CHECK(std::filesystem::exists(source)); // a copy leaves the original
  check_refused(blobs.take(expected, source), storage_errc::unverified, "its bytes are those of");
  CHECK_FALSE(std::filesystem::exists(source)); // a file that is ours and wrong goes
  write_bytes(source, bytes);
  std::filesystem::create_symlink(source, folder / "link");
  check_refused(blobs.copy(expected, folder / "link"), storage_errc::inaccessible, "open");
  std::filesystem::create_directory(folder / "folder");
  check_refused(blobs.copy(expected, folder / "folder"), storage_errc::refused, "not a regular file");
  must(blobs.copy(expected, source));
  must(blobs.remove(expected.digest));
  must(blobs.take(expected, source));
  CHECK_FALSE(std::filesystem::exists(source));
  CHECK(must(blobs.read(expected.digest, 0, 300'000)) == bytes);
}

TEST_CASE("a document that changed on the disk is noticed, removed, and the sentence says to pull again") {
  temporary_folder folder;
  auto blobs = open_blobs(folder / "images");
  const std::string bytes = "{\"a\":1}";
  must(blobs.put(descriptor_of(bytes), bytes));
  write_bytes(blobs.path(storage::digest_of(bytes)), "{\"a\":2}");
  check_refused(blobs.read_document(storage::digest_of(bytes)), storage_errc::damaged, "pull the image again");
  check_refused(blobs.read_document(storage::digest_of(bytes)), storage_errc::not_found, "pull the image");
}

TEST_CASE("after a SIGKILL at any point the blob is whole or goes on behind what was acknowledged") {
  temporary_folder folder;
  const auto bytes = noise(64 * 4096 + 17);
  const std::uint32_t seed = 99;
  CAPTURE(seed);
  std::mt19937 random(seed);
  int resumed = 0;
  for (int round = 0; round < 20; ++round) {
    CAPTURE(round);
    int ends[2] = {-1, -1};
    REQUIRE(::pipe(ends) == 0);
    const auto pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      ::close(ends[0]);
      write_until_killed(folder / "images", bytes, ends[1]);
    }
    ::close(ends[1]);
    const auto reports = 1 + random() % 150;
    std::uint64_t offset = 0, acknowledged = 0;
    for (std::size_t seen = 0; ::read(ends[0], &offset, sizeof(offset)) == sizeof(offset); ++seen) {
      acknowledged = offset;
      if (seen == reports)
        ::kill(pid, SIGKILL);
    }
    ::close(ends[0]);
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    REQUIRE(WIFSIGNALED(status));

    auto blobs = open_blobs(folder / "images");
    if (blobs.contains(storage::digest_of(bytes))) {
      must(storage::verify_file(blobs.path(storage::digest_of(bytes)), descriptor_of(bytes)));
      must(blobs.remove(storage::digest_of(bytes)));
      continue;
    }
    auto writer = must(blobs.write(descriptor_of(bytes)));
    if (acknowledged < bytes.size())
      CHECK(writer.offset() >= acknowledged);
    resumed += writer.offset() > 0 ? 1 : 0;
    must(writer.write(std::string_view(bytes).substr(writer.offset())));
    must(writer.commit());
    must(blobs.remove(storage::digest_of(bytes)));
  }
  CHECK(resumed > 5);
}

TEST_CASE("on a full disk a transfer is refused as retryable, keeps what it has, and goes on when there is room") {
  temporary_folder folder;
  small_disk disk(folder / "disk", "2m");
  if (!disk.mounted())
    return;
  auto blobs = open_blobs(disk.path() + "/images");
  const auto bytes = noise(1'500'000);
  write_bytes(disk.path() + "/ballast", std::string(1'000'000, 'b'));
  std::uint64_t kept = 0;
  {
    auto writer = must(blobs.write(descriptor_of(bytes)));
    const auto written = writer.write(bytes);
    check_refused(written, storage_errc::disk_full, "free some space");
    CHECK(storage::is_retryable(written.error().code));
    kept = writer.offset();
  }
  CHECK(kept > 500'000);
  std::filesystem::remove(disk.path() + "/ballast");
  auto writer = must(blobs.write(descriptor_of(bytes)));
  CHECK(writer.offset() == kept);
  must(writer.write(bytes.substr(kept)));
  must(writer.commit());
}

TEST_CASE("whole blobs of an interrupted import are kept, everything else of it goes") {
  temporary_folder folder;
  auto blobs = open_blobs(folder / "images");
  const auto staging = folder / "images/staging";
  const auto staged = staging + "/pull-1/blobs/sha256/";
  std::filesystem::create_directories(staged);
  std::filesystem::create_directories(staging + "/layer-1/diff");
  const auto bytes = noise(5000);
  write_bytes(staged + storage::digest_of(bytes).hex, bytes);
  write_bytes(staged + storage::digest_of("whole").hex, "torn");
  write_bytes(staged + "index.json", "{}");
  write_bytes(staging + "/layer-1/diff/" + storage::digest_of("trap").hex, "trap");
  must(storage::salvage_staging(staging, blobs));
  CHECK(std::filesystem::is_empty(staging));
  const auto kept = must(blobs.list());
  REQUIRE(kept.size() == 1);
  CHECK(kept[0].name == storage::digest_of(bytes));
}
