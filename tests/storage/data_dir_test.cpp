#include "storage/data_dir.hpp"

#include <grp.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "storage/process_lock.hpp"
#include "tests/storage/damage.hpp"
#include "tests/storage/raft_log_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;
using storage::data_dir;
using storage::storage_errc;

namespace {

const storage::host_owner host{"harbour", "host-1"};

/// Runs `body` in a child process as a user without rights, for root may read everything; returns its text.
template <class Body>
std::string as_nobody(Body body) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    constexpr unsigned nobody = 65'534;
    const bool dropped = ::geteuid() != 0 || (::setgroups(0, nullptr) == 0 && ::setresgid(nobody, nobody, nobody) == 0 &&
                                              ::setresuid(nobody, nobody, nobody) == 0);
    const std::string text = dropped ? body() : "cannot drop root's rights";
    ::_exit(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string text;
  char bytes[4096];
  for (ssize_t size = 0; (size = ::read(ends[0], bytes, sizeof bytes)) > 0;)
    text.append(bytes, static_cast<std::size_t>(size));
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return text;
}

/// The error's sentence, or that there was none.
std::string refusal_text(const std::string& path) {
  const auto opened = data_dir::open(path, host);
  return opened ? "it was opened" : opened.error().message;
}

std::filesystem::perms mode_of(const std::string& path) {
  return std::filesystem::status(path).permissions();
}

} // namespace

TEST_CASE("a new data directory is made with its parents, private, and is known at the next open") {
  temporary_folder folder;
  const auto path = folder / "var/lib/prunella";
  {
    const auto made = must(data_dir::open(path, host));
    CHECK(made.created());
    CHECK(made.file("raft.db") == path + "/raft.db");
    CHECK(mode_of(path) == std::filesystem::perms::owner_all);
  }
  write_bytes(path + "/raft.db", "x");
  CHECK_FALSE(must(data_dir::open(path, host)).created());
}

TEST_CASE("an empty folder that others may read is taken and made private") {
  temporary_folder folder;
  std::filesystem::create_directory(folder / "data");
  std::filesystem::permissions(folder / "data", std::filesystem::perms{0755});
  CHECK(must(data_dir::open(folder / "data", host)).created());
  CHECK(mode_of(folder / "data") == std::filesystem::perms::owner_all);
}

TEST_CASE("a folder with something else in it is refused by name, and nothing is left in it") {
  temporary_folder folder;
  std::filesystem::create_directory(folder / "home");
  write_bytes(folder / "home/letter.txt", "dear");
  check_refused(data_dir::open(folder / "home", host), storage_errc::foreign, "it has 'letter.txt'");
  CHECK(std::distance(std::filesystem::directory_iterator(folder / "home"), {}) == 1);
}

TEST_CASE("the data directory of another host or site is refused, and both are named") {
  temporary_folder folder;
  (void)must(data_dir::open(folder / "data", host));
  check_refused(data_dir::open(folder / "data", {"harbour", "host-2"}), storage_errc::foreign,
                "belongs to host host-1 of site harbour, not to host host-2");
  check_refused(data_dir::open(folder / "data", {"mill", "host-1"}), storage_errc::foreign, "of site mill");
}

TEST_CASE("a lock that is let go of is free, also while a child that was forked meanwhile lives") {
  temporary_folder folder;
  pid_t child = 0;
  {
    const auto lock = must(storage::process_lock::acquire(folder / "lock", "the lock"));
    child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0)
      for (;;)
        ::pause();
  }
  CHECK(storage::process_lock::acquire(folder / "lock", "the lock").ok());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_CASE("a second agent on the same data directory is refused with the first one's process id") {
  temporary_folder folder;
  {
    const auto first = must(data_dir::open(folder / "data", host));
    check_refused(data_dir::open(folder / "data", host), storage_errc::locked,
                  "in use by process " + std::to_string(::getpid()));
  }
  CHECK(data_dir::open(folder / "data", host).ok());
}

TEST_CASE("a file in its place, a parent that is a file, and an unreadable identity are refused") {
  temporary_folder folder;
  write_bytes(folder / "file", "x");
  check_refused(data_dir::open(folder / "file", host), storage_errc::inaccessible, "not a folder");
  check_refused(data_dir::open(folder / "file/data", host), storage_errc::inaccessible, "file");
  (void)must(data_dir::open(folder / "data", host));
  write_bytes(folder / "data/identity", "");
  check_refused(data_dir::open(folder / "data", host), storage_errc::damaged, "identity");
  write_bytes(folder / "data/identity", std::string(5000, 'x'));
  check_refused(data_dir::open(folder / "data", host), storage_errc::damaged, "larger than");
  write_bytes(folder / "data/identity", "prunella-data-directory 2\n");
  check_refused(data_dir::open(folder / "data", host), storage_errc::newer_format, "format 2");
}

TEST_CASE("names that are empty or hold a blank or a line break are refused") {
  temporary_folder folder;
  for (const auto& owner : {storage::host_owner{"", "h"}, storage::host_owner{"s", ""}, storage::host_owner{"s s", "h"},
                            storage::host_owner{"s", "h\nsite evil"}})
    check_refused(data_dir::open(folder / "data", owner), storage_errc::invalid_argument, "without blanks");
  CHECK_FALSE(std::filesystem::exists(folder / "data"));
}

TEST_CASE("a full disk and a read-only one are told when the directory is opened") {
  temporary_folder folder;
  const auto disk = folder / "disk";
  std::filesystem::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=1m") != 0) {
    MESSAGE("skipped: mounting a small tmpfs needs root");
    return;
  }
  struct unmounter {
    std::string at;
    ~unmounter() { ::umount2(at.c_str(), MNT_DETACH); }
  } scope{disk};
  (void)must(data_dir::open(disk + "/data", host));
  {
    std::ofstream ballast(disk + "/ballast", std::ios::binary);
    ballast << std::string(2u << 20, 'b') << std::flush;
  }
  check_refused(data_dir::open(disk + "/data", host), storage_errc::disk_full, "free some space");
  std::filesystem::remove(disk + "/ballast");
  CHECK(data_dir::open(disk + "/data", host).ok());
  REQUIRE(::mount(nullptr, disk.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
  check_refused(data_dir::open(disk + "/data", host), storage_errc::inaccessible, "writable");
}

TEST_CASE("a directory or a file in it that this user may not read or write is refused by its name, before any of it is used") {
  temporary_folder folder;
  const auto path = folder / "data";
  using std::filesystem::perms;
  std::filesystem::permissions(folder / "", perms{0755});
  CHECK(as_nobody([&] { return refusal_text(folder / "data"); }).find(::geteuid() == 0 ? "Permission denied" : "it was opened") !=
        std::string::npos);
  std::filesystem::create_directories(path);
  if (::geteuid() == 0)
    REQUIRE(::chown(path.c_str(), 65'534, 65'534) == 0);
  REQUIRE(as_nobody([&] { return refusal_text(path); }) == "it was opened");
  write_bytes(path + "/raft.db", "x");
  std::filesystem::permissions(path + "/raft.db", perms::none);
  const auto file = as_nobody([&] { return refusal_text(path); });
  CHECK(file.find("cannot open " + path + "/raft.db for reading and writing: Permission denied; run as the user that owns it") !=
        std::string::npos);
  std::filesystem::remove(path + "/raft.db");
  for (const auto mode : {perms{0000}, perms{0500}, perms{0100}}) {
    std::filesystem::permissions(path, mode);
    const auto text = as_nobody([&] { return refusal_text(path); });
    CHECK_MESSAGE(text.find("Permission denied; run as the user that owns it") != std::string::npos, text);
  }
  std::filesystem::permissions(path, perms{0700});
  CHECK(as_nobody([&] { return refusal_text(path); }) == "it was opened");
}
