// Images from folders and archives.

#include "storage/images/import.hpp"

#include <filesystem>

#include "storage/images/image_name.hpp"
#include "tests/storage/damage.hpp"
#include "tests/storage/images/import_fixture.hpp"
#include "tests/storage/small_disk.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;
using storage::storage_errc;

namespace {

const test_image web = two_layers();

} // namespace

TEST_CASE("an image comes from an OCI layout by its tag, and a second import copies nothing") {
  importing at;
  web.write_layout(at.folder / "layout", "1.0");
  std::vector<storage::import_progress> seen;
  at.import.progress = [&](const storage::import_progress& now) {
    seen.push_back(now);
    return true;
  };
  at.import.now_ms = 77;
  at.import.source = "a stick";
  const auto record = must(at.layout("1.0"));
  CHECK(record.manifest == web.digest());
  CHECK(record.source == "a stick");
  CHECK(record.blobs.size() == 4);
  REQUIRE(seen.size() == 3);
  CHECK(seen.back().bytes_done == seen.back().bytes_total);
  CHECK(must(at.store->find(must(storage::parse_reference("web")))).added_at_ms == 77);
  CHECK(must(at.store->missing(web.digest())).empty());
  std::filesystem::remove((at.folder / "layout/blobs/sha256/") + storage::digest_of(web.layers[0]).hex);
  must(at.layout("")); // the only one, and its layers are here
}

TEST_CASE("a layout that is none, has another tag, or lacks a blob is refused with the reason") {
  importing at;
  check_refused(at.layout("1.0"), storage_errc::not_found, "is no OCI layout");
  web.write_layout(at.folder / "layout", "1.0");
  check_refused(at.layout("2.0"), storage_errc::not_found, "no image tagged '2.0' in the layout; it has: 1.0");
  check_refused(at.layout("1.0", "web@" + storage::digest_of("x").text()), storage_errc::unverified,
                "and not docker.io/");
  const auto blob = at.folder / "layout/blobs/sha256/" + storage::digest_of(web.layers[0]).hex;
  write_bytes(blob, flipped(web.layers[0], 99));
  check_refused(at.layout("1.0"), storage_errc::unverified, "its bytes are those of");
  write_bytes(blob, web.layers[0].substr(0, 100));
  check_refused(at.layout("1.0"), storage_errc::unverified, "100 bytes instead of");
  std::filesystem::remove(blob);
  check_refused(at.layout("1.0"), storage_errc::not_found, "is missing: there is no");
  write_bytes(at.folder / "layout/blobs/sha256/" + web.digest().hex, "{}");
  check_refused(at.layout("1.0"), storage_errc::unverified, "2 bytes instead of");
  std::filesystem::remove(at.folder / "layout/blobs/sha256/" + web.digest().hex);
  check_refused(at.layout("1.0"), storage_errc::not_found, "is incomplete");
  write_bytes(at.folder / "layout/index.json", "{");
  check_refused(at.layout("1.0"), storage_errc::malformed, "not JSON");
  write_bytes(at.folder / "layout/oci-layout", R"({"imageLayoutVersion":"2.0.0"})");
  check_refused(at.layout("1.0"), storage_errc::unsupported, "version \"2.0.0\"");
  write_bytes(at.folder / "layout/oci-layout", "[]");
  check_refused(at.layout("1.0"), storage_errc::malformed, "does not say");
  CHECK(must(at.store->list()).empty());
}

TEST_CASE("an image for another machine is refused before its layers are copied") {
  importing at;
  auto other = web;
  other.architecture = "s390x";
  other.write_layout(at.folder / "layout", "1.0");
  check_refused(at.layout("1.0"), storage_errc::unsupported, "built for linux/s390x");
  CHECK_FALSE(at.store->blobs().contains(storage::digest_of(web.layers[0])));
}

TEST_CASE("of a layout whose root is an index of several architectures this machine's image is taken, and with none of ours it says what there is") {
  importing at;
  auto other = web;
  other.architecture = "s390x";
  web.write_layout(at.folder / "layout", "1.0");
  write_bytes(at.folder / "layout/blobs/sha256/" + other.digest().hex, other.manifest()); // its layers were left out
  const std::string foreign = R"({"os":"linux","architecture":"s390x"})";
  const auto attestation = std::string{R"({"os":"unknown","architecture":"unknown"})"};
  const auto put_root = [&](const std::string& index) {
    write_bytes(at.folder / "layout/blobs/sha256/" + storage::digest_of(index).hex, index);
    write_bytes(at.folder / "layout/index.json",
                R"({"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":")" + storage::digest_of(index).text() +
                  R"(","size":)" + std::to_string(index.size()) + R"(,"annotations":{"org.opencontainers.image.ref.name":"1.0"}}]})");
  };
  put_root(index_of({{&other, foreign}, {&other, attestation}, {&web, this_machine()}}));
  for (const auto* tag : {"1.0", ""})
    CHECK(must(at.layout(tag)).manifest == web.digest());
  put_root(index_of({{&other, foreign}, {&other, R"({"os":"linux","architecture":"arm","variant":"v6"})"}, {&other, attestation}}));
  check_refused(at.layout("1.0", "foreign"), storage_errc::unsupported, "it is there for linux/s390x, linux/arm/v6: push a build for this host's platform");
  CHECK(must(at.store->list()).size() == 1);
  write_bytes(at.folder / "layout/index.json", index_of({{&other, foreign}, {&web, this_machine()}})); // without an index between
  CHECK(must(at.layout("")).manifest == web.digest());
}

TEST_CASE("of an archive whose root is an index of several architectures this machine's image is taken, and with none of ours it says so") {
  if (!has_program("skopeo"))
    return;
  importing at;
  auto other = web;
  other.architecture = "s390x";
  const auto archive_of = [&](const std::string& name, const std::string& index, const std::vector<const test_image*>& images) {
    const auto layout = at.folder / name;
    for (const auto* image : images)
      image->write_layout(layout, "1.0");
    write_bytes(layout + "/blobs/sha256/" + storage::digest_of(index).hex, index);
    write_bytes(layout + "/index.json",
                R"({"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":")" + storage::digest_of(index).text() +
                  R"(","size":)" + std::to_string(index.size()) + R"(,"annotations":{"org.opencontainers.image.ref.name":"1.0"}}]})");
    run_tool({"tar", "-C", layout, "-cf", layout + ".tar", "."});
    return layout + ".tar";
  };
  const auto import = [&](const std::string& path, const std::string& name) {
    return storage::import_archive(*at.store, path, "", must(storage::parse_reference(name)), at.access, at.import);
  };
  const std::string foreign = R"({"os":"linux","architecture":"s390x"})";
  const auto both = archive_of("both", index_of({{&other, foreign}, {&web, this_machine()}}), {&other, &web});
  CHECK(must(import(both, "web")).manifest == web.digest());
  const auto none = import(archive_of("none", index_of({{&other, foreign}}), {&other}), "other");
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code == storage_errc::unsupported);
  CHECK_MESSAGE(none.error().message.find("platform") != std::string::npos, none.error().message);
  CHECK(must(at.store->list()).size() == 1);
  CHECK(std::filesystem::is_empty(at.store->staging()));
}

TEST_CASE("an import that would not fit is refused before it starts, and one that is ended on request can go on") {
  importing at;
  small_disk disk(at.folder / "disk", "1m");
  if (!disk.mounted())
    return;
  auto options = importing::options();
  options.reserve_bytes = 1u << 20; // all of it
  at.reopen(disk.path() + "/images", options);
  web.write_layout(at.folder / "layout", "1.0");
  check_refused(at.layout("1.0"), storage_errc::disk_full, "are kept free (the last 1 MiB are)");
  CHECK_FALSE(at.store->blobs().contains(storage::digest_of(web.layers[0])));
  options.reserve_bytes = 0;
  at.reopen(disk.path() + "/images", options);
  int calls = 0;
  at.import.progress = [&](const storage::import_progress&) { return ++calls < 2; };
  check_refused(at.layout("1.0"), storage_errc::unreachable, "ended on request");
  CHECK(at.store->blobs().contains(storage::digest_of(web.layers[0])));
  at.import.progress = nullptr;
  must(at.layout("1.0"));
}

TEST_CASE("a program that ends, fails, prints too much, is not there or is told to end is reported as that") {
  storage::child_order order;
  order.environment = bare_environment();
  order.command = {"sh", "-c", "echo out; echo err >&2; exit 3"};
  auto end = must(storage::run_child(order));
  CHECK(end.exit_code == 3);
  CHECK(end.output == "out\n");
  CHECK(end.errors == "err\n");
  CHECK_FALSE(end.succeeded());
  order.command = {"sh", "-c", "while :; do echo much; done"};
  order.max_output = 1000;
  end = must(storage::run_child(order));
  CHECK(end.too_much_output);
  CHECK(end.output.size() == 1000);
  order.command = {"sh", "-c", "exec >&- 2>&-; sleep 1000"}; // silent, and still there
  order.tick = 5ms;
  order.go_on = [](std::chrono::milliseconds passed) { return passed < 20ms; };
  end = must(storage::run_child(order));
  CHECK(end.ended_by_us);
  CHECK(end.exit_code == -1);
  order.command = {"no-such-program-here"};
  order.go_on = nullptr;
  check_refused(storage::run_child(order), storage_errc::inaccessible, "is not installed on this host");
}

TEST_CASE("archives of docker and of OCI are imported, also with a colon in their path") {
  if (!has_program("skopeo"))
    return;
  importing at;
  web.write_layout(at.folder / "layout", "1.0");
  std::filesystem::create_directory(at.folder / "a:b");
  const auto oci = at.folder / "a:b/oci.tar";
  const auto docker = at.folder / "docker.tar";
  run_tool({"skopeo", "--insecure-policy", "copy", "oci:" + (at.folder / "layout:1.0"),
            "oci-archive:" + (at.folder / "oci.tar:1.0")});
  std::filesystem::rename(at.folder / "oci.tar", oci);
  run_tool({"skopeo", "--insecure-policy", "copy", "oci:" + (at.folder / "layout:1.0"),
            "docker-archive:" + docker + ":shop/web:2"});
  const auto import = [&](const std::string& path, const std::string& tag, const std::string& name) {
    return storage::import_archive(*at.store, path, tag, must(storage::parse_reference(name)), at.access, at.import);
  };
  const auto first = must(import(oci, "", "from-oci"));
  CHECK(first.manifest == web.digest());
  CHECK(first.source == "archive " + oci);
  const auto second = must(import(docker, "", "from-docker"));
  CHECK(second.diff_ids == first.diff_ids);
  CHECK(must(at.store->missing(second.manifest)).empty());
  CHECK(std::filesystem::is_empty(at.store->staging()));
  check_refused(import(at.folder / "none.tar", "", "x"), storage_errc::not_found, "there is no archive");
  write_bytes(at.folder / "text.tar", "no archive at all, only some words");
  check_refused(import(at.folder / "text.tar", "", "x"), storage_errc::malformed, "tar");
  write_bytes(at.folder / "other.tar", tar_builder().file("readme", "x").bytes());
  check_refused(import(at.folder / "other.tar", "", "x"), storage_errc::malformed, "holds no image");
  write_bytes(at.folder / "site.yaml", "kind: site\nname: shop\n");
  write_bytes(at.folder / "empty.tar", "");
  for (const auto* name : {"site.yaml", "empty.tar", "other.tar"}) {
    const auto named = storage::name_in(at.folder / name);
    REQUIRE_FALSE(named.ok());
    CAPTURE(named.error().message);
    CHECK(named.error().code == storage_errc::malformed);
    CHECK(named.error().message.find(at.folder / name) != std::string::npos);
    CHECK(named.error().message.find("layer") == std::string::npos);
  }
  CHECK(storage::name_in(oci).error().code == storage_errc::invalid_argument); // it has a tag, and no name
  const auto bytes = read_bytes(oci);
  write_bytes(at.folder / "cut.tar", bytes.substr(0, bytes.size() / 2));
  const auto cut = import(at.folder / "cut.tar", "", "x");
  REQUIRE_FALSE(cut.ok());
  CAPTURE(cut.error().message);
  CHECK((cut.error().code == storage_errc::malformed || cut.error().code == storage_errc::unreachable));
}
