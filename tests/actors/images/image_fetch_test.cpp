// Images from other hosts, from registries and from files, into a store on disk.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include <unistd.h>

#include "tests/actors/images/image_stores.hpp"
#include "tests/storage/images/fake_registry.hpp"
#include "tests/storage/images/import_fixture.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace prunella::tests;
using namespace std::chrono_literals;
using fault = scripted_peer::fault;
using storage::storage_errc;

namespace {

/// Its upper layer takes some parts.
const test_image big{{tar_builder().file("base", "b").bytes(), tar_builder().file("web", noise(900'000)).bytes()}};
const std::string name = "r.example/shop/web:1";

struct fetching {
  fetching() {
    tools.store = must(here.shared->get());
    tools.unpacking = &here.shared->unpacking();
    tools.now = [] { return std::chrono::steady_clock::now(); };
    tools.clock = [] { return time_ms{1'000}; };
    tools.pause = [](std::chrono::milliseconds) {};
    tools.access = importing().access;
    tools.progress = [this](const fetch_progress& x) {
      told.push_back(x);
      return goes_on(x);
    };
    tools.peer = [this](const std::string& host) -> std::unique_ptr<blob_peer> {
      const auto it = faults.find(host);
      if (it == faults.end())
        return nullptr;
      return std::make_unique<scripted_peer>(there.store().blobs(), it->second.first, it->second.second);
    };
    order.reference = name;
    order.manifest = big.digest().text();
  }

  fetch_outcome run() { return fetch_image(order, tools); }

  bool has_image() {
    const auto found = here.store().find(must(storage::parse_reference(order.reference)));
    return found.ok() && must(here.store().missing(found->manifest)).empty();
  }

  host_images here;
  host_images there;
  std::map<std::string, std::pair<fault, int>> faults;
  std::vector<fetch_progress> told;
  std::function<bool(const fetch_progress&)> goes_on = [](const fetch_progress&) { return true; };
  fetch_tools tools;
  fetch_order order;
};

void check_failed(const fetch_outcome& outcome, image_errc code, const std::string& words) {
  CAPTURE(outcome.failure.message);
  REQUIRE(outcome.failed);
  CHECK(to_text(outcome.failure.code) == to_text(code));
  CHECK(outcome.failure.message.find(words) != std::string::npos);
}

} // namespace

TEST_CASE("an image is copied from a host that has it, blob by blob, with progress that reaches its size") {
  fetching at;
  big.add_to(at.there.store(), name);
  at.faults["host-2"] = {fault::none, 0};
  at.order.peers = {"host-2"};
  const auto outcome = at.run();
  CAPTURE(outcome.failure.message);
  REQUIRE_FALSE(outcome.failed);
  CHECK(outcome.image.manifest == big.digest().text());
  CHECK(outcome.image.from == "host-2");
  CHECK(outcome.peers_failed.empty());
  CHECK(at.has_image());
  REQUIRE_FALSE(at.told.empty());
  CHECK(at.told.back().bytes_done == at.told.back().bytes_total);
  CHECK(at.told.back().from == "host-2");
  CHECK(must(at.here.store().find(big.digest())).source == "host-2");
  SUBCASE("a second fetch brings nothing") {
    at.faults.clear();
    const auto again = at.run();
    CHECK_FALSE(again.failed);
    CHECK(again.image.was_there);
  }
}

TEST_CASE("a peer that dies in the middle of a blob is followed by the next, which goes on behind the last byte") {
  fetching at;
  big.add_to(at.there.store(), name);
  const auto& upper = big.layers[1];
  scripted_peer first(at.there.store().blobs(), fault::dies, 3);
  copy_tools tools;
  tools.now = [] { return std::chrono::steady_clock::now(); };
  std::uint64_t arrived = 0;
  tools.progress = [&](std::uint64_t bytes) {
    arrived += bytes;
    return true;
  };
  check_refused(copy_blob(at.here.store().blobs(), descriptor_of(upper), first, tools), storage_errc::unreachable, "lost");
  CHECK(arrived > 0);
  CHECK(arrived < upper.size());
  const auto rest = upper.size() - arrived;
  scripted_peer second(at.there.store().blobs());
  must(copy_blob(at.here.store().blobs(), descriptor_of(upper), second, tools));
  CHECK(second.bytes_asked == rest);
  CHECK(at.here.store().blobs().contains(storage::digest_of(upper)));
}

TEST_CASE("peers that are gone, stall, lie or no longer have an image are told of, and the one that has it gives it") {
  fetching at;
  big.add_to(at.there.store(), name);
  at.faults["dies"] = {fault::dies, 2};
  at.faults["stalls"] = {fault::stalls, 2};
  at.faults["lies"] = {fault::lies, 2};
  at.faults["forgets"] = {fault::forgets, 0};
  at.faults["good"] = {fault::none, 0};
  at.order.peers = {"gone", "dies", "stalls", "lies", "forgets", "good"};
  const auto outcome = at.run();
  CAPTURE(outcome.failure.message);
  REQUIRE_FALSE(outcome.failed);
  CHECK(outcome.image.from == "good");
  REQUIRE(outcome.peers_failed.size() == 5);
  CHECK(outcome.peers_failed[0] == "gone: gone cannot be asked now");
  CHECK(outcome.peers_failed[2] == "stalls: it sent nothing for 5000 ms");
  CHECK(outcome.peers_failed[3].find("its bytes are those of") != std::string::npos);
  CHECK(outcome.peers_doubted == std::vector<std::string>{"lies"});
  CHECK(at.has_image());
}

TEST_CASE("without a peer that gives it and without leave to ask the registry, the sentence is that of the last peer") {
  fetching at;
  big.add_to(at.there.store(), name);
  at.faults["host-2"] = {fault::lies, 0};
  at.order.peers = {"host-2"};
  check_failed(at.run(), image_errc::digest_mismatch, "its bytes are those of");
  at.order.peers = {};
  check_failed(at.run(), image_errc::not_found, "import it with `prunella image import");
  CHECK_FALSE(at.has_image());
}

TEST_CASE("an image for other machines is refused before its layers are copied") {
  fetching at;
  auto foreign = big;
  foreign.architecture = "s390x";
  foreign.add_to(at.there.store(), name);
  at.order.manifest = foreign.digest().text();
  at.faults["host-2"] = {fault::none, 0};
  at.order.peers = {"host-2"};
  check_failed(at.run(), image_errc::wrong_platform, "built for linux/s390x");
  CHECK_FALSE(at.here.store().blobs().contains(storage::digest_of(foreign.layers[1])));
}

TEST_CASE("a fetch that is ended keeps what has arrived, and the next one asks only for the rest") {
  fetching at;
  big.add_to(at.there.store(), name);
  at.faults["host-2"] = {fault::none, 0};
  at.order.peers = {"host-2"};
  at.goes_on = [](const fetch_progress& x) { return x.bytes_done < 100'000; };
  check_failed(at.run(), image_errc::ended, "what has arrived is kept");
  CHECK_FALSE(at.has_image());
  const auto partial = must(at.here.store().blobs().list_partial());
  REQUIRE(partial.size() == 1);
  CHECK(partial[0].bytes >= 50'000);
  at.goes_on = [](const fetch_progress&) { return true; };
  CHECK_FALSE(at.run().failed);
  CHECK(at.has_image());
}

TEST_CASE("what no peer gives comes from the registry, where that is allowed") {
  if (!has_program("skopeo"))
    return;
  fetching at;
  fake_registry registry;
  registry.add(big, "shop/web", "1");
  at.order.reference = registry.address() + "/shop/web:1";
  at.order.peers = {"gone"};
  at.order.may_ask_registry = true;
  const auto outcome = at.run();
  CAPTURE(outcome.failure.message);
  REQUIRE_FALSE(outcome.failed);
  CHECK(outcome.image.from == "registry " + registry.address());
  CHECK(outcome.peers_failed.size() == 1);
  CHECK(std::any_of(at.told.begin(), at.told.end(), [](const auto& x) { return x.from_registry; }));
  CHECK(at.has_image());
}

TEST_CASE("a layout folder and its name become an image, and a folder that is none is a sentence") {
  fetching at;
  big.write_layout(at.here.folder / "layout", "1.0");
  at.order.file = at.here.folder / "layout";
  const auto outcome = at.run();
  CAPTURE(outcome.failure.message);
  REQUIRE_FALSE(outcome.failed);
  CHECK(outcome.image.from == "folder " + at.order.file);
  CHECK(at.has_image());
  at.order.file = at.here.folder.path();
  check_failed(at.run(), image_errc::not_found, "is no OCI layout");
}

TEST_CASE("a fetched image is unpacked by root, and its layers are there for overlayfs") {
  fetching at;
  big.add_to(at.there.store(), name);
  at.faults["host-2"] = {fault::none, 0};
  at.order.peers = {"host-2"};
  at.order.unpack = true;
  const auto outcome = at.run();
  CAPTURE(outcome.failure.message);
  if (::geteuid() != 0) {
    check_failed(outcome, image_errc::needs_root, "run the agent as root");
    return;
  }
  REQUIRE_FALSE(outcome.failed);
  CHECK(at.told.back().state == transfer_state::unpacking);
  const auto record = must(at.here.store().find(big.digest()));
  CHECK(must(at.here.store().layers().stack(record.diff_ids)).size() == 2);
}

TEST_CASE("a layer that the disk has changed before it was unpacked is thrown away and brought again") {
  if (::geteuid() != 0)
    return;
  fetching at;
  big.add_to(at.there.store(), name);
  big.add_to(at.here.store(), name);
  const auto layer = storage::digest_of(big.layers[1]);
  {
    std::fstream file(at.here.store().blobs().path(layer), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(big.layers[1].size() / 2));
    file << "oops";
  }
  at.faults["host-2"] = {fault::none, 0};
  at.order.peers = {"host-2"};
  at.order.unpack = true;
  check_failed(at.run(), image_errc::digest_mismatch, "has changed on the disk, so it was removed");
  CHECK_FALSE(at.here.store().blobs().contains(layer));
  const auto again = at.run();
  CAPTURE(again.failure.message);
  CHECK_FALSE(again.failed);
  CHECK(at.has_image());
}

TEST_CASE("a layer that is on its way for another image is waited for") {
  fetching at;
  big.add_to(at.there.store(), name);
  at.faults["host-2"] = {fault::none, 0};
  at.order.peers = {"host-2"};
  auto other = std::make_unique<storage::blob_writer>(must(at.here.store().blobs().write(descriptor_of(big.layers[1]))));
  int pauses = 0;
  at.tools.pause = [&](std::chrono::milliseconds) {
    if (++pauses == 3)
      other.reset();
  };
  const auto outcome = at.run();
  CAPTURE(outcome.failure.message);
  CHECK_FALSE(outcome.failed);
  CHECK(pauses == 3);
}
