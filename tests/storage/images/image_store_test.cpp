#include "storage/images/image_store.hpp"

#include <algorithm>
#include <filesystem>
#include <random>
#include <sys/time.h>
#include <sys/wait.h>

#include "tests/storage/damage.hpp"
#include "tests/storage/images/image_builder.hpp"
#include "tests/storage/outcome.hpp"
#include "tests/storage/small_disk.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella;
using namespace prunella::tests;
using storage::storage_errc;

namespace {

constexpr std::int64_t hour = 60 * 60 * 1000;

storage::image_store_options options() {
  storage::image_store_options made;
  made.owner = {"harbour", "host-1"};
  return made;
}

std::unique_ptr<storage::image_store> open_images(const temporary_folder& folder) {
  return must(storage::open_image_store(folder / "images", options()));
}

storage::image_reference reference(const std::string& text) {
  return must(storage::parse_reference(text));
}

std::string tar_of(const std::string& path, const std::string& text) {
  return tar_builder().file(path, text).bytes();
}

/// Two images on one base.
const test_image web({tar_of("base", "common"), tar_of("web", "web")});
const test_image worker({tar_of("base", "common"), tar_of("worker", "worker")});

bool is_root() {
  if (::geteuid() == 0)
    return true;
  MESSAGE("SKIPPED: unpacking needs root, as files get their owners in it");
  return false;
}

void unpack(storage::image_store& store, const test_image& image) {
  const auto documents = must(store.documents(image.digest()));
  must(store.layers().unpack(documents.manifest, documents.config, store.blobs(), store.staging(), {}));
}

std::vector<storage::digest> ids(const test_image& image) {
  std::vector<storage::digest> made;
  for (const auto& id : image.diff_ids)
    made.push_back(must(storage::parse_digest(id)));
  return made;
}

} // namespace

TEST_CASE("an image is found by tag and by digest, and a tag moves to the image that took it last") {
  temporary_folder folder;
  auto store = open_images(folder);
  check_refused(store->find(reference("r.example/web:1")), storage_errc::not_found,
                "r.example/web:1 is not on this host");
  web.add_to(*store, "r.example/web:1");
  CHECK(must(store->find(reference("r.example/web:1"))).manifest == web.digest());
  CHECK(must(store->find(reference("other.example/any@" + web.digest().text()))).manifest == web.digest());
  check_refused(store->find(reference("r.example/web:2")), storage_errc::not_found, "import it");
  worker.add_to(*store, "r.example/web:1");
  CHECK(must(store->find(reference("r.example/web:1"))).manifest == worker.digest());
  CHECK(must(store->find(web.digest())).manifest == web.digest());
  // The digest of an index leads to the image that was chosen from it.
  const auto index = "r.example/web@" + storage::digest_of("an index").text();
  web.add_to(*store, index);
  CHECK(must(store->find(reference(index))).manifest == web.digest());
}

TEST_CASE("images, names and holders are there after the next open, and only for the same host") {
  temporary_folder folder;
  {
    auto store = open_images(folder);
    web.add_to(*store, "r.example/web:1", 5);
    must(store->hold("shop.popcorn.web-1", web.digest(), 9));
  }
  auto store = open_images(folder);
  const auto views = must(store->list());
  REQUIRE(views.size() == 1);
  CHECK(views[0].manifest == web.digest());
  CHECK(views[0].names == std::vector<std::string>{"r.example/web:1"});
  CHECK(views[0].holders == std::vector<std::string>{"shop.popcorn.web-1"});
  CHECK(views[0].complete);
  CHECK_FALSE(views[0].unpacked);
  CHECK(views[0].added_at_ms == 5);
  CHECK(views[0].last_used_at_ms == 9);
  CHECK(views[0].bytes == web.layers[0].size() + web.layers[1].size() + web.config().size() + web.manifest().size());
  store.reset();
  auto other = options();
  other.owner.host = "host-2";
  check_refused(storage::open_image_store(folder / "images", other), storage_errc::foreign, "host-1");
}

TEST_CASE("an image without all its blobs is not added, and one that lost a blob says which") {
  temporary_folder folder;
  auto store = open_images(folder);
  storage::image_record record;
  record.manifest = storage::digest_of("m");
  record.blobs = {descriptor_of("m")};
  check_refused(store->add(record, {}), storage_errc::not_found, "cannot be added: its blob sha256:");
  check_refused(store->add({}, {}), storage_errc::invalid_argument, "needs its digest");
  web.add_to(*store, "web");
  CHECK(must(store->missing(web.digest())).empty());
  must(store->blobs().remove(storage::digest_of(web.layers[1])));
  const auto missing = must(store->missing(web.digest()));
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].digest == storage::digest_of(web.layers[1]));
  CHECK_FALSE(must(store->list())[0].complete);
}

TEST_CASE("the documents of an image are read and verified") {
  temporary_folder folder;
  auto store = open_images(folder);
  web.add_to(*store, "web");
  const auto documents = must(store->documents(web.digest()));
  CHECK(documents.manifest.layers.size() == 2);
  CHECK(documents.config.command == std::vector<std::string>{"/bin/sh"});
  write_bytes(store->blobs().path(storage::digest_of(web.config())), flipped(web.config(), 100));
  check_refused(store->documents(web.digest()), storage_errc::damaged, "pull the image again");
  check_refused(store->documents(worker.digest()), storage_errc::not_found, "is not on this host");
}

TEST_CASE("layers are unpacked once and shared, and stacked with the topmost first") {
  if (!is_root())
    return;
  temporary_folder folder;
  auto store = open_images(folder);
  web.add_to(*store, "web");
  worker.add_to(*store, "worker");
  check_refused(store->layers().stack(ids(web)), storage_errc::not_found, "layer 1 of the image is not unpacked");
  unpack(*store, web);
  const auto stack = must(store->layers().stack(ids(web)));
  REQUIRE(stack.size() == 2);
  CHECK(read_bytes(stack[0] + "/web") == "web");
  CHECK(read_bytes(stack[1] + "/base") == "common");
  const auto before = std::filesystem::last_write_time(stack[1] + "/base");
  unpack(*store, worker);
  CHECK(must(store->layers().list()).size() == 3);
  CHECK(must(store->layers().stack(ids(worker)))[1] == stack[1]);
  CHECK(std::filesystem::last_write_time(stack[1] + "/base") == before);
  CHECK(std::filesystem::is_empty(store->staging()));
  for (const auto& view : must(store->list()))
    CHECK(view.unpacked);
}

TEST_CASE("a layer blob that rotted on the disk is found when it is unpacked, removed, and fetched again") {
  if (!is_root())
    return;
  temporary_folder folder;
  auto store = open_images(folder);
  web.add_to(*store, "web");
  const auto name = storage::digest_of(web.layers[1]);
  write_bytes(store->blobs().path(name), flipped(web.layers[1], 8 * 40));
  const auto documents = must(store->documents(web.digest()));
  const auto once = [&] {
    return store->layers().unpack(documents.manifest, documents.config, store->blobs(), store->staging(), {});
  };
  check_refused(once(), storage_errc::damaged, "has changed on the disk");
  CHECK_FALSE(store->blobs().contains(name));
  CHECK(must(store->layers().list()).size() == 1); // the base stays
  check_refused(once(), storage_errc::not_found, "pull the image");
  must(store->blobs().put(descriptor_of(web.layers[1]), web.layers[1]));
  must(once());
}

TEST_CASE("an image whose layer is not what its configuration says is refused, and its blob is not blamed") {
  if (!is_root())
    return;
  temporary_folder folder;
  auto store = open_images(folder);
  auto lying = web;
  lying.diff_ids[1] = storage::digest_of("something else").text();
  lying.add_to(*store, "lying");
  const auto documents = must(store->documents(lying.digest()));
  check_refused(store->layers().unpack(documents.manifest, documents.config, store->blobs(), store->staging(), {}),
                storage_errc::unverified, "does not unpack to what");
  CHECK(store->blobs().contains(storage::digest_of(web.layers[1])));
  CHECK(std::filesystem::is_empty(store->staging()));
}

TEST_CASE("layers that want more of the disk than there is room for all of them are refused, and nothing of the last stays") {
  if (!is_root())
    return;
  temporary_folder folder;
  auto store = open_images(folder);
  const test_image big({tar_builder().file("base", noise(10'000)).bytes(), tar_builder().file("more", noise(10'000)).bytes()});
  big.add_to(*store, "big");
  const auto documents = must(store->documents(big.digest()));
  storage::unpack_limits limits;
  limits.room = 19'999;
  check_refused(store->layers().unpack(documents.manifest, documents.config, store->blobs(), store->staging(), limits),
                storage_errc::disk_full, "'more' among others");
  CHECK(must(store->layers().list()).size() == 1);
  CHECK(std::filesystem::is_empty(store->staging()));
  limits.room = 10'000;
  must(store->layers().unpack(documents.manifest, documents.config, store->blobs(), store->staging(), limits));
}

TEST_CASE("an image that is forgotten is as if it had never come, and one that is held is not forgotten") {
  temporary_folder folder;
  auto store = open_images(folder);
  web.add_to(*store, "web");
  worker.add_to(*store, "worker");
  must(store->hold("default.shop.web-1.main", web.digest(), 1));
  check_refused(store->forget(web.digest()), storage_errc::refused, "default.shop.web-1.main uses the image");
  must(store->forget(worker.digest()));
  must(store->forget(worker.digest()));
  const auto left = must(store->list());
  REQUIRE(left.size() == 1);
  CHECK(left[0].manifest == web.digest());
  check_refused(store->find(worker.digest()), storage_errc::not_found, worker.digest().text());
}

TEST_CASE("collecting removes the image unused for longest with what it alone has, and what is held stays") {
  if (!is_root())
    return;
  temporary_folder folder;
  auto store = open_images(folder);
  web.add_to(*store, "web", 10);
  worker.add_to(*store, "worker", 20);
  unpack(*store, web);
  unpack(*store, worker);
  CHECK(must(store->collect(0, {}, 100 * hour)).empty());
  const auto chosen = must(store->collect(1, {}, 100 * hour));
  CHECK(chosen.images == std::vector<storage::digest>{web.digest()});
  check_refused(store->find(reference("web")), storage_errc::not_found, "not on this host");
  CHECK_FALSE(store->blobs().contains(storage::digest_of(web.layers[1])));
  CHECK(store->blobs().contains(storage::digest_of(web.layers[0])));
  CHECK(must(store->layers().stack(ids(worker))).size() == 2);
  CHECK(must(store->layers().list()).size() == 2);

  must(store->hold("t.a.worker-1", worker.digest(), 30));
  auto all = must(store->collect(1u << 30, {}, 100 * hour));
  CHECK(all.images.empty());
  CHECK(all.shortage.find("1 images are needed") != std::string::npos);
  must(store->release("t.a.worker-1", 40));
  must(store->release("nobody", 40));
  CHECK(must(store->list())[0].last_used_at_ms == 40);
  CHECK(must(store->collect(1u << 30, {worker.digest()}, 100 * hour)).images.empty());
  all = must(store->collect(1u << 30, {}, 100 * hour));
  CHECK(all.images == std::vector<storage::digest>{worker.digest()});
  CHECK(must(store->blobs().list()).empty());
  CHECK(must(store->layers().list()).empty());
}

TEST_CASE("holding an image that is not there is refused, and a holder that moves on frees the first one") {
  temporary_folder folder;
  auto store = open_images(folder);
  check_refused(store->hold("t.a.web-1", web.digest(), 1), storage_errc::not_found, "is not on this host");
  web.add_to(*store, "web");
  worker.add_to(*store, "worker");
  check_refused(store->hold("", web.digest(), 1), storage_errc::invalid_argument, "needs a name");
  must(store->hold("t.a.web-1", web.digest(), 1));
  must(store->hold("t.a.web-1", worker.digest(), 2));
  for (const auto& image : must(store->contents()).images)
    CHECK(image.held == (image.manifest == worker.digest()));
}

TEST_CASE("a pull that would eat the reserve is refused with the figures, one that fits is not") {
  temporary_folder folder;
  small_disk disk(folder / "disk", "8m");
  if (!disk.mounted())
    return;
  auto tight = options();
  tight.reserve_bytes = 2u << 20;
  auto store = must(storage::open_image_store(disk.path() + "/images", tight));
  const auto room = must(store->room());
  CHECK(room.total_bytes == 8u << 20);
  must(store->admit(room.free_bytes - tight.reserve_bytes));
  check_refused(store->admit(room.free_bytes - tight.reserve_bytes + 1), storage_errc::disk_full,
                "the last 2 MiB are kept free; free some space");
  check_refused(store->admit(~std::uint64_t{0}), storage_errc::disk_full, "free some space");
}

TEST_CASE("without its database the blobs are still there, and adding the image again costs no transfer") {
  temporary_folder folder;
  {
    auto store = open_images(folder);
    web.add_to(*store, "web");
  }
  for (const auto* part : {"images.db", "images.db-wal"})
    std::filesystem::remove(folder / (std::string("images/") + part));
  auto store = open_images(folder);
  CHECK(must(store->list()).empty());
  CHECK(must(store->blobs().list()).size() == 4);
  web.add_to(*store, "web");
  CHECK(must(store->list())[0].complete);
}

TEST_CASE("a changed record is refused as damage") {
  temporary_folder folder;
  {
    auto store = open_images(folder);
    web.add_to(*store, "web");
  }
  run_sql(folder / "images/images.db", "UPDATE image SET record=substr(record, 1, 30)");
  check_refused(open_images(folder)->list(), storage_errc::damaged, "the checksum of the record of image");
}

TEST_CASE("a kill while images are added, unpacked and collected leaves each image whole or gone") {
  if (!is_root())
    return;
  temporary_folder folder;
  const std::uint32_t seed = 2024;
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 12; ++round) {
    CAPTURE(round);
    const auto microseconds = static_cast<suseconds_t>(1000 + random() % 60'000);
    const auto pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      auto store = storage::open_image_store(folder / "images", options());
      // The kernel ends the process wherever it is then, as SIGKILL would: nothing of it runs any more.
      const itimerval end{{0, 0}, {0, microseconds}};
      ::setitimer(ITIMER_REAL, &end, nullptr);
      for (int step = 0; store; ++step) {
        const auto& image = step % 2 == 0 ? web : worker;
        image.add_to(**store, "image:" + std::to_string(step % 3), step);
        unpack(**store, image);
        if (step % 4 == 3 && !(*store)->collect(1u << 30, {}, 100 * hour))
          break;
      }
      ::_exit(1);
    }
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    REQUIRE(WIFSIGNALED(status));

    auto store = open_images(folder);
    CHECK(std::filesystem::is_empty(store->staging()));
    CHECK(std::filesystem::is_empty(folder / "images/trash"));
    for (const auto& part : must(store->blobs().list()))
      must(storage::verify_file(store->blobs().path(part.name), {{}, part.name, part.bytes}));
    for (const auto& image : must(store->contents()).images) {
      CHECK(must(store->missing(image.manifest)).empty());
      for (const auto& tested : {web, worker})
        if (tested.digest() == image.manifest)
          for (std::size_t n = 0; n < image.chain.size(); ++n)
            if (store->layers().contains(image.chain[n])) {
              const auto* file = n == 0 ? "/base" : image.manifest == web.digest() ? "/web" : "/worker";
              CHECK_FALSE(read_bytes(store->layers().path(image.chain[n]) + file).empty());
            }
    }
    // Everything that is left can be collected, and the store goes on.
    must(store->collect(1u << 30, {}, 100'000'000 * hour));
    CHECK(must(store->blobs().list()).empty());
    CHECK(must(store->layers().list()).empty());
    web.add_to(*store, "web");
    unpack(*store, web);
  }
}
