// What happens to images when the disk gets tight: a small file system of its own, filled for real.

#include <filesystem>

#include "actors/host/image_shelf.hpp"
#include "tests/actors/images/image_stores.hpp"
#include "tests/storage/small_disk.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace prunella::tests;

namespace {

/// About 3 MB, different for each seed.
test_image image_of(std::uint32_t seed) {
  return test_image{{tar_builder().file("web", noise(3'000'000, seed)).bytes()}};
}

std::string name_of(int n) {
  return "r.example/shop/web:" + std::to_string(n);
}

} // namespace

TEST_CASE("a full disk loses only images that nobody holds or needs, oldest use first, and a needed one then fits") {
  temporary_folder folder;
  const small_disk disk(folder / "disk", "16m");
  if (!disk.mounted())
    return;
  const auto images = std::make_shared<storage::shared_images>(disk.path() + "/images", host_images::options());
  time_ms now = 10'000'000'000;
  image_shelf shelf(images, [&] { return now; });
  auto& store = *must(images->get());
  for (int n = 1; n <= 4; ++n)
    image_of(static_cast<std::uint64_t>(n)).add_to(store, name_of(n), n);
  must(store.hold("default.popcorn.web-1.main", image_of(1).digest(), 1));

  host_images other;
  const auto needed = image_of(5);
  needed.add_to(other.store(), name_of(5));
  fetch_tools tools;
  tools.store = must(images->get());
  tools.unpacking = &images->unpacking();
  tools.now = [] { return std::chrono::steady_clock::now(); };
  tools.clock = [&] { return now; };
  tools.progress = [](const fetch_progress&) { return true; };
  tools.peer = [&](const std::string&) { return std::make_unique<scripted_peer>(other.store().blobs()); };
  fetch_order order;
  order.reference = name_of(5);
  order.manifest = needed.digest().text();
  order.peers = {"host-2"};
  // Room for less than one more; what is there of it stays for later.
  const auto ballast = disk.path() + "/ballast";
  const auto free = must(store.room()).free_bytes;
  REQUIRE(free > 2'000'000);
  must(storage::write_file_atomically(ballast, std::string(free - 2'000'000, 'x')));
  const auto full = fetch_image(order, tools);
  REQUIRE(full.failed);
  CAPTURE(full.failure.message);
  CHECK(full.failure.code == image_errc::disk_full);
  CHECK(full.failure.message.find("free some space") != std::string::npos);

  const auto removed = must(shelf.collect(3'000'000, {name_of(2)}));
  REQUIRE(removed.size() == 1);
  CHECK(removed[0].first == name_of(3)); // 1 is held, 2 is needed, 4 was used later
  const auto again = fetch_image(order, tools);
  CAPTURE(again.failure.message);
  CHECK_FALSE(again.failed);
  for (const int n : {1, 2, 4, 5})
    CHECK(shelf.is_ready(must(storage::parse_reference(name_of(n))), false));
  CHECK_FALSE(shelf.is_ready(must(storage::parse_reference(name_of(3))), false));
  SUBCASE("what is left of nobody's images goes too, and then there is nothing more to give") {
    const auto rest = must(shelf.collect(1'000'000'000, {name_of(2), name_of(5)}));
    REQUIRE(rest.size() == 1);
    CHECK(rest[0].first == name_of(4));
    CHECK(must(shelf.collect(1'000'000'000, {name_of(2), name_of(5)})).empty());
    CHECK(shelf.is_ready(must(storage::parse_reference(name_of(1))), false));
  }
}
