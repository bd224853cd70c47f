#include "storage/images/collect.hpp"

#include <doctest/doctest.h>

using namespace prunella;

namespace {

constexpr std::int64_t hour = 60 * 60 * 1000;
constexpr std::int64_t now = 1000 * hour;
const storage::collect_options options;

storage::digest named(char c) {
  return {std::string(64, c)};
}

/// Two images that share the layer `b`; each blob has 100 bytes, each unpacked layer 1000.
storage::store_contents two_images() {
  storage::store_contents contents;
  contents.images.push_back({named('1'), {named('1'), named('a'), named('b')}, {named('a'), named('b')}, 10, false});
  contents.images.push_back({named('2'), {named('2'), named('b'), named('c')}, {named('b'), named('c')}, 20, false});
  for (const char c : {'1', '2', 'a', 'b', 'c'})
    contents.blobs.push_back({named(c), 100, 0});
  for (const char c : {'a', 'b', 'c'})
    contents.layers.push_back({named(c), 1000, 0});
  return contents;
}

storage::collection plan(const storage::store_contents& contents, std::uint64_t bytes,
                         const std::set<storage::digest>& wanted = {}) {
  return storage::plan_collection(contents, wanted, bytes, now, options);
}

using digests = std::vector<storage::digest>;

} // namespace

TEST_CASE("nothing is collected without pressure, whatever lies around") {
  auto contents = two_images();
  contents.blobs.push_back({named('f'), 1'000'000, 0});
  CHECK(plan(contents, 0) == storage::collection{});
}

TEST_CASE("pressure starts below 15 percent free and asks for what is missing to 20 percent") {
  CHECK(storage::bytes_to_free({150, 1000}, options) == 0);
  CHECK(storage::bytes_to_free({149, 1000}, options) == 51);
  CHECK(storage::bytes_to_free({0, 1000}, options) == 200);
  CHECK(storage::bytes_to_free({0, 0}, options) == 0);
  storage::collect_options odd;
  odd.stop_at_percent = 1; // below the start: then it is freed up to the start
  CHECK(storage::bytes_to_free({100, 1000}, odd) == 50);
}

TEST_CASE("the image that was used longest ago goes first, and of it only what no other shares") {
  const auto chosen = plan(two_images(), 1);
  CHECK(chosen.images == digests{named('1')});
  CHECK(chosen.layers == digests{named('a')});
  CHECK(chosen.blobs == digests{named('1'), named('a')});
  CHECK(chosen.freed_bytes == 1200);
  CHECK(chosen.shortage.empty());
}

TEST_CASE("collecting ends with the byte that is enough, and goes on one byte later") {
  CHECK(plan(two_images(), 1200).images.size() == 1);
  const auto both = plan(two_images(), 1201);
  CHECK(both.images == digests{named('1'), named('2')});
  CHECK(both.freed_bytes == 3500);
  CHECK(both.layers == digests{named('a'), named('b'), named('c')});
}

TEST_CASE("an image that is held or wanted stays even when everything is needed, and the shortage says so") {
  auto contents = two_images();
  contents.images[0].held = true;
  const auto wanted = plan(contents, 1'000'000, {named('2')});
  CHECK(wanted.empty());
  CHECK(wanted.shortage.find("only 0 of 1000000 bytes") != std::string::npos);
  CHECK(wanted.shortage.find("the other 2 images") != std::string::npos);
  const auto chosen = plan(contents, 1'000'000);
  CHECK(chosen.images == digests{named('2')});
  CHECK(chosen.layers == digests{named('c')});
  CHECK(chosen.blobs == digests{named('2'), named('c')});
}

TEST_CASE("what belongs to no image goes before any image, oldest first, once it was left alone for an hour") {
  auto contents = two_images();
  contents.blobs.push_back({named('d'), 10, now - 2 * hour});
  contents.partial.push_back({named('e'), 20, now - 3 * hour});
  contents.layers.push_back({named('f'), 30, now - hour});
  contents.partial.push_back({named('9'), 40, now - hour + 1}); // a pull under way
  CHECK(plan(contents, 1).blobs == digests{named('e')});
  const auto three = plan(contents, 60);
  CHECK(three.images.empty());
  CHECK(three.blobs == digests{named('e'), named('d')});
  CHECK(three.layers == digests{named('f')});
  CHECK(three.freed_bytes == 60);
  CHECK(plan(contents, 61).images == digests{named('1')});
}

TEST_CASE("images of equal age are taken by digest, so every run decides the same") {
  auto contents = two_images();
  contents.images[0].last_used_at_ms = contents.images[1].last_used_at_ms;
  std::swap(contents.images[0], contents.images[1]);
  CHECK(plan(contents, 1).images == digests{named('1')});
}

TEST_CASE("an image that names a blob twice, or one that is not on the disk, is counted right") {
  storage::store_contents contents;
  contents.images.push_back({named('1'), {named('1'), named('a'), named('a'), named('0')}, {}, 10, false});
  contents.blobs = {{named('1'), 100, 0}, {named('a'), 100, 0}};
  const auto chosen = plan(contents, 1000);
  CHECK(chosen.blobs == digests{named('1'), named('a')});
  CHECK(chosen.freed_bytes == 200);
}
