// A host whose disk has no room: it says so, loses nothing, keeps what runs, and goes on by itself when there is room.

#include <doctest/doctest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "tests/cluster/site_processes.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace fs = std::filesystem;

namespace {

/// A disk of 4 MiB in the place of a host's data directory, with the host's keys on it.
class small_disk {
public:
  /// Nothing where this user may not mount.
  static std::optional<small_disk> at(const fs::path& data_dir) {
    const auto kept = data_dir.string() + ".keys";
    fs::rename(data_dir, kept);
    fs::create_directory(data_dir);
    if (::mount("tmpfs", data_dir.c_str(), "tmpfs", 0, "size=4m,mode=700") != 0) {
      MESSAGE("skipped: mounting a small tmpfs needs root");
      return std::nullopt;
    }
    small_disk disk{data_dir};
    fs::copy(fs::path{kept} / "tls", data_dir / "tls", fs::copy_options::recursive);
    return disk;
  }
  small_disk(small_disk&& other) noexcept : path_{std::exchange(other.path_, {})} {}
  small_disk& operator=(small_disk&&) = delete;
  ~small_disk() {
    if (!path_.empty())
      ::umount2(path_.c_str(), MNT_DETACH);
  }

  /// Until not one byte more fits. `lost+found` is a name that may be in a data directory.
  void fill() const {
    fs::create_directory(path_ / "lost+found");
    const int fd = ::open((path_ / "lost+found" / "ballast").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0);
    const std::string bytes(4'096, 'b');
    while (::write(fd, bytes.data(), bytes.size()) > 0) {
    }
    REQUIRE(errno == ENOSPC);
    ::close(fd);
  }
  void free() const { fs::remove_all(path_ / "lost+found"); }

private:
  explicit small_disk(fs::path path) : path_{std::move(path)} {}

  fs::path path_;
};

bool says_full(const std::string& text) { return text.find("disk is full") != std::string::npos; }

/// Applies applications until one is refused, at most 300; the names of those that were acknowledged.
std::vector<std::string> apply_until_refused(const site_processes& site, const std::string& host, api_answer& refused) {
  std::vector<std::string> acknowledged;
  for (int i = 0; i < 300; ++i) {
    const auto name = "app-" + std::to_string(i);
    refused = site.apply(host, simple_application(name, {"sleep", "1000000"}, 0));
    if (!refused.is_good())
      return acknowledged;
    acknowledged.push_back(name);
  }
  return acknowledged;
}

void check_there(const site_processes& site, const std::string& host, const std::vector<std::string>& names) {
  for (const auto& name : names)
    CHECK_MESSAGE(site.call(host, "GET", "/v1/applications/" + name).status == 200, name << " was acknowledged and is gone");
}

} // namespace

TEST_CASE("a full disk of a site of one host: refused with the reason, what runs goes on, and nothing acknowledged is lost") {
  site_processes site{config::liveness_profile::balanced, 1};
  const auto disk = small_disk::at(site.data_dir("host-1"));
  if (!disk)
    return;
  site.start_all();
  REQUIRE(site.apply("host-1", simple_application("shop")).status == 201);
  site.wait_for_running(1);
  const auto running = site.containers_of("host-1");

  disk->fill();
  api_answer refused;
  auto acknowledged = apply_until_refused(site, "host-1", refused);
  CHECK(refused.status == 503);
  CHECK(refused.took < 12s);
  CHECK_MESSAGE(says_full(refused.problem().cause), refused.body);
  const auto status = site.status("host-1");
  CHECK(status.health == "degraded");
  CHECK_MESSAGE(says_full(status.reason), status.reason);
  CHECK(site.agent("host-1").is_alive());
  CHECK(site.containers_of("host-1") == running);
  CHECK(site.all_running(1));
  check_there(site, "host-1", acknowledged);

  disk->free();
  site.wait_for("a change is taken again", [&] { return site.apply("host-1", simple_application("after", {"x"}, 0)).is_good(); });
  acknowledged.push_back("after");
  CHECK_FALSE(says_full(site.status("host-1").reason));
  check_there(site, "host-1", acknowledged);

  CHECK(site.end("host-1") == 0);
  disk->fill();
  const auto log = site.folder() / "waiting.log";
  program waiting{site.run_words("host-1"), log};
  const auto waits = [&] { return file_text(log).find("host-1: waits for room on its disk, and what runs here goes on: ") != std::string::npos; };
  site.wait_for("the agent that is started on the full disk says so", waits);
  CHECK_MESSAGE(file_text(log).find("free some space") != std::string::npos, file_text(log));
  CHECK(waiting.is_alive());
  CHECK(site.containers_of("host-1") == running);
  disk->free();
  site.wait_for("it begins by itself when there is room", [&] { return file_text(log).find("host-1: API on ") != std::string::npos; });
  waiting.signal(SIGTERM);
  CHECK(waiting.wait() == 0);
  disk->fill();
  fs::remove(log);
  program interrupted{site.run_words("host-1"), log};
  site.wait_for("another one waits", waits);
  interrupted.signal(SIGTERM);
  CHECK(interrupted.wait() == 0);
  disk->free();
  site.start_all();
  check_there(site, "host-1", acknowledged);
  site.wait_for("the container is adopted", [&] { return site.containers_of("host-1") == running && site.all_running(1); });
}

TEST_CASE("a leader whose disk is full hands over: changes are taken, its work goes on, and with room it catches up") {
  site_processes site;
  std::vector<small_disk> disks;
  for (const auto& host : site.hosts()) {
    auto disk = small_disk::at(site.data_dir(host));
    if (!disk)
      return;
    disks.push_back(std::move(*disk));
  }
  site.start_all();
  const auto full = site.leader();
  REQUIRE(site.apply(full, on("host=" + full, simple_application("here"))).status == 201);
  site.wait_for_running(1);
  const auto running = site.containers_of(full);
  const auto& disk = disks[static_cast<std::size_t>(full.back() - '1')];

  disk.fill();
  const auto asked = site.hosts_without(full).front();
  std::vector<std::string> acknowledged;
  site.wait_for("another host leads and takes changes", [&] {
    const auto name = "app-" + std::to_string(acknowledged.size());
    if (site.apply(asked, simple_application(name, {"x"}, 0)).is_good())
      acknowledged.push_back(name);
    return acknowledged.size() >= 10 && site.status(asked).leader != full;
  });
  CHECK(site.agent(full).is_alive());
  CHECK(site.containers_of(full) == running);
  site.wait_for("the full host says so", [&] { return says_full(site.status(full).reason); });
  CHECK(site.status(asked).hosts_up == 3);

  disk.free();
  site.wait_for_agreement(site.hosts());
  for (const auto& host : site.hosts())
    check_there(site, host, acknowledged);
  CHECK(site.all_running(1));
}

TEST_CASE("a host whose disk is full is shown, an event tells it, it keeps what it runs and gets nothing new until there is room") {
  site_processes site;
  const auto disk = small_disk::at(site.data_dir("host-3"));
  if (!disk)
    return;
  site.start_all();
  REQUIRE(site.apply(on("host=host-3", simple_application("here"))).status == 201);
  site.wait_for_running(1);
  const auto running = site.containers_of("host-3");

  disk->fill();
  site.wait_for("it is shown", [&] { return site.host("host-3").reason.find("the disk of its data directory is full") != std::string::npos; });
  CHECK(site.host("host-3").state == "up");
  const auto status = site.status("host-1");
  CHECK(status.health == "degraded");
  CHECK_MESSAGE(status.reason.find("host-3: the disk of its data directory is full") != std::string::npos, status.reason);
  REQUIRE(site.apply("host-1", on("host=host-3", simple_application("new"))).status == 201);
  site.wait_for("it is not placed there", [&] {
    return site.instance("default.new.main-1").reason == "0 of 3 hosts fit: 2 not matching the labels `host=host-3`, 1 with a full disk";
  });
  CHECK(site.containers_of("host-3") == running);

  disk->free();
  site.wait_for_running(2);
  CHECK(site.host("host-3").reason.empty());
  std::vector<std::string> told;
  for (const auto& event : site.get<std::vector<actors::event_view>>("host-1", "/v1/events?limit=1000"))
    if (event.host == "site" && event.object == "host/host-3" && event.to.find("disk") != std::string::npos)
      told.push_back(event.to);
  CHECK(told == std::vector<std::string>{"disk full", "its disk has room again"});
}
