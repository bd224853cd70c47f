// Images from registries: Debian's own, and one that misbehaves on purpose.

#include "storage/images/child_process.hpp"
#include "storage/images/pull.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "tests/storage/damage.hpp"
#include "tests/storage/images/fake_registry.hpp"
#include "tests/storage/images/import_fixture.hpp"
#include "tests/storage/images/real_registry.hpp"
#include "tests/storage/small_disk.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;
using storage::storage_errc;

namespace {

const test_image web = two_layers();

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE("skopeo's last words become a reason and a next step") {
  const auto explained = [](const std::string& words) {
    return storage::explain_skopeo("time=\"2026-01-01T00:00:00Z\" level=fatal msg=\"" + words + "\"", {"cannot pull x", "r.lan:5000", "/data/registry-auth.json"});
  };
  const auto error =
      explained(R"(Error parsing image name \"docker://r/x\": reading manifest 1 in r/x: manifest unknown)");
  CHECK(error.code == storage_errc::not_found);
  CHECK(error.message ==
        "cannot pull x: the registry does not know this image or tag; check the name, or push it (skopeo: "
        "Error parsing image name \"docker://r/x\": reading manifest 1 in r/x: manifest unknown)");
  CHECK(explained("dial tcp: connect: connection refused").code == storage_errc::unreachable);
  CHECK(explained("unauthorized: authentication required").code == storage_errc::denied);
  CHECK(contains(explained("unauthorized: authentication required").message, "`skopeo login --authfile /data/registry-auth.json r.lan:5000`"));
  CHECK(contains(explained("http: server gave HTTP response to HTTPS client").message, "`--insecure-registry r.lan:5000`"));
  CHECK(explained("x509: certificate signed by unknown authority").code == storage_errc::refused);
  CHECK(explained("write /x: no space left on device").code == storage_errc::disk_full);
  CHECK(explained("open /x: permission denied").code == storage_errc::inaccessible);
  const auto foreign = explained(R"(choosing an image from manifest list oci-archive:/x.tar:: no image found in image index for architecture amd64, variant \"\", OS linux)");
  CHECK(foreign.code == storage_errc::unsupported);
  CHECK(foreign.message.find("cannot pull x: it holds no build for this host's platform; push or export one") == 0);
  CHECK(explained("something new").code == storage_errc::malformed);
  CHECK(storage::explain_skopeo("", {"cannot pull x", "r", ""}).message.find("no reason given") != std::string::npos);
  CHECK(storage::explain_skopeo(std::string(100'000, 'x'), {"cannot pull x", "r", ""}).message.size() < 1000);
}

TEST_CASE("each answer of a registry that brings no image has its own sentence and next step") {
  struct row {
    std::string words; ///< as skopeo 1.9 says it
    storage_errc code;
    std::string says;
  };
  const std::string manifest = R"(Error parsing image name \"docker://r.lan:5000/x:1\": reading manifest 1 in r.lan:5000/x: )";
  const std::string blob = "reading blob sha256:fc11: Error fetching blob: invalid status code from registry ";
  const std::string ping = R"(pinging container registry r.lan:5000: Get \"https://r.lan:5000/v2/\": )";
  const std::string login = R"(getting username and password: 1 error occurred:\n\t* reading JSON file \"a.json\": unmarshaling JSON\n\n)";
  for (const auto& x : std::vector<row>{
           {manifest + "received unexpected HTTP status: 500 Internal Server Error", storage_errc::unreachable, "a fault of its own"},
           {manifest + "received unexpected HTTP status: 502 Bad Gateway", storage_errc::unreachable, "a fault of its own"},
           {manifest + "received unexpected HTTP status: 503 Service Unavailable", storage_errc::unreachable, "a fault of its own"},
           {blob + "500 (Internal Server Error)", storage_errc::unreachable, "a fault of its own"},
           {blob + "503 (Service Unavailable)", storage_errc::unreachable, "a fault of its own"},
           {manifest + "StatusCode: 403, ", storage_errc::denied, "does not give this image to these credentials"},
           {blob + "403 (Forbidden)", storage_errc::denied, "does not give this image to these credentials"},
           {manifest + "StatusCode: 404, ", storage_errc::not_found, "does not know this image or tag"},
           {blob + "404 (Not Found)", storage_errc::not_found, "not all of its layers; push the image again"},
           {manifest + "StatusCode: 301, ", storage_errc::refused, "sends on to somewhere else"},
           {ping + "stopped after 10 redirects", storage_errc::refused, "sends on to somewhere else"},
           {manifest + "StatusCode: 429, ", storage_errc::unreachable, "limits how often it is asked"},
           {ping + "tls: first record does not look like a TLS handshake", storage_errc::refused, "`--insecure-registry r.lan:5000`"},
           {ping + "remote error: tls: handshake failure", storage_errc::refused, "cannot agree on TLS"},
           {login, storage_errc::denied, "credentials, /data/auth.json, cannot be read; correct it, or make it anew with `skopeo login "
                                         "--authfile /data/auth.json r.lan:5000`"},
       }) {
    CAPTURE(x.words);
    const auto error = storage::explain_skopeo("level=debug msg=\"GET\"\ntime=\"2026\" level=fatal msg=\"" + x.words + "\"",
                                               {"cannot look up x", "r.lan:5000", "/data/auth.json"});
    CAPTURE(error.message);
    CHECK(error.code == x.code);
    CHECK(error.message.find("cannot look up x: ") == 0);
    CHECK(contains(error.message, x.says));
  }
  CHECK(contains(storage::explain_skopeo("level=fatal msg=\"" + login + "\"", {"cannot pull x", "r", ""}).message,
                 R"(1 error occurred: * reading JSON file "a.json": unmarshaling JSON))"));
}

TEST_CASE("what skopeo says of an archive speaks of a file, and of no registry or layer") {
  const auto explained = [](const std::string& words) {
    return storage::explain_skopeo("time=\"2026-01-01T00:00:00Z\" level=fatal msg=\"" + words + "\"", {"cannot import /x.tar", "", ""});
  };
  for (const std::string words : {"Digest did not match, expected sha256:1, got sha256:2", "reading blob: unexpected EOF", "tar: file not found"}) {
    const auto error = explained(words);
    CHECK(error.code == storage_errc::malformed);
    CHECK(contains(error.message, "cannot import /x.tar: the archive is damaged or incomplete; if it was copied here, copy it again"));
    CHECK_FALSE(contains(error.message, "registry"));
  }
}

TEST_CASE("a transfer stalls when nothing arrived for exactly the time allowed, and each new byte starts it anew") {
  storage::stall_watch watch(1000ms);
  CHECK_FALSE(watch.stalled(0, 999ms));
  CHECK(watch.stalled(0, 1000ms));
  CHECK_FALSE(watch.stalled(1, 1500ms));
  CHECK_FALSE(watch.stalled(1, 2499ms));
  CHECK(watch.stalled(1, 2500ms));
  CHECK(watch.stalled(0, 2500ms)); // fewer bytes are no progress
}

TEST_CASE("a pull takes no more than it may, and rests where it would") {
  if (!has_program("skopeo"))
    return;
  importing at;
  fake_registry registry;
  const test_image large{{tar_builder().file("a", noise(3'000'000, 1)).bytes(), tar_builder().file("b", noise(3'000'000, 2)).bytes()}};
  registry.add(large, "shop/large", "1");
  std::uint64_t bytes = 0;
  // By how much it went on before its time. The last call comes after the program's end, which no rest can put off.
  std::chrono::microseconds earliest{0}, latest_call{0};
  const auto begin = std::chrono::steady_clock::now();
  at.access.pace = [&](std::uint64_t more) { // 4 MB a second, of which nothing is saved up
    const auto left = [&] {
      const auto due = begin + std::chrono::microseconds{bytes / 4};
      return std::chrono::duration_cast<std::chrono::microseconds>(due - std::chrono::steady_clock::now());
    };
    earliest = std::max(earliest, std::exchange(latest_call, left()));
    bytes += more;
    return left();
  };
  CHECK(must(at.pull(registry.address() + "/shop/large:1")).manifest == large.digest());
  CHECK(bytes >= 6'000'000);
  CHECK(earliest <= 1ms);
}

TEST_CASE("the time in which a program was made to rest does not count as its own, so a rest is no stall") {
  storage::child_order order;
  order.command = {"sleep", "0.6"};
  order.environment = {"PATH=/usr/bin:/bin"};
  order.tick = 10ms;
  std::chrono::milliseconds ran{0};
  int rests = 0;
  order.go_on = [&](std::chrono::milliseconds passed) {
    ran = passed;
    return true;
  };
  order.rest = [&] { return std::chrono::microseconds{rests++ == 0 ? 300ms : 0ms}; };
  const auto begin = std::chrono::steady_clock::now();
  CHECK(must(storage::run_child(order)).succeeded());
  CHECK(rests > 0);
  CHECK(std::chrono::steady_clock::now() - begin >= ran + 300ms);
}

TEST_CASE("what a tag means is looked up without its layers, and of an unknown one the reason is told") {
  if (!has_program("skopeo"))
    return;
  importing at;
  fake_registry registry;
  registry.add(web, "shop/web", "1");
  const auto meaning = [&](const std::string& tag) {
    return storage::look_up(*at.store, must(storage::parse_reference(registry.address() + "/shop/web:" + tag)), at.access);
  };
  CHECK(must(meaning("1")) == web.digest());
  for (const auto& path : registry.requests())
    CHECK(path.find("/blobs/") == std::string::npos);
  const auto unknown = meaning("2");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code == storage_errc::not_found);
}

TEST_CASE("an image is pulled from a registry by tag and by digest, and shared layers are not fetched twice") {
  if (!has_program("skopeo"))
    return;
  importing at;
  fake_registry registry;
  registry.add(web, "shop/web", "1");
  auto second = web;
  second.config_members = R"("Cmd":["/other"])";
  registry.add(second, "shop/web", "2");
  std::uint64_t last = 0, total = 0;
  at.import.progress = [&](const storage::import_progress& now) {
    CHECK(now.bytes_done >= last);
    last = now.bytes_done;
    total = now.bytes_total;
    return true;
  };
  const auto record = must(at.pull(registry.address() + "/shop/web:1"));
  CHECK(record.manifest == web.digest());
  CHECK(record.source == "registry " + registry.address());
  CHECK(total > 0);
  CHECK(last == total);
  CHECK(must(at.store->missing(web.digest())).empty());
  CHECK(must(at.store->find(must(storage::parse_reference(registry.address() + "/shop/web:1")))).manifest ==
        web.digest());
  CHECK(std::filesystem::is_empty(at.store->staging()));
  last = 0;
  CHECK(must(at.pull(registry.address() + "/shop/web@" + second.digest().text())).manifest == second.digest());
  const auto requests = registry.requests();
  for (const auto& layer : web.layers)
    CHECK(std::count(requests.begin(), requests.end(), "/v2/shop/web/blobs/" + storage::digest_of(layer).text()) == 1);
}

TEST_CASE("of a multi-platform image the one for this machine is pulled, and the index' digest names it too") {
  if (!has_program("skopeo"))
    return;
  importing at;
  fake_registry registry;
  auto other = web;
  other.architecture = "s390x";
  registry.add(web, "web", "x");
  registry.add(other, "web", "y");
  const auto index = index_of({{&other, R"({"os":"linux","architecture":"s390x"})"}, {&web, this_machine()}});
  registry.add_manifest("web", "multi", index, "application/vnd.oci.image.index.v1+json");
  CHECK(must(at.pull(registry.address() + "/web:multi")).manifest == web.digest());
  const auto by_index = registry.address() + "/web@" + storage::digest_of(index).text();
  CHECK(must(at.store->find(must(storage::parse_reference(by_index)))).manifest == web.digest());
  CHECK(must(at.pull(by_index)).manifest == web.digest());
  const auto foreign = index_of({{&other, R"({"os":"linux","architecture":"s390x"})"}});
  registry.add_manifest("web", "foreign", foreign, "application/vnd.oci.image.index.v1+json");
  check_refused(at.pull(registry.address() + "/web:foreign"), storage_errc::unsupported,
                "it is there for linux/s390x:");
  check_refused(at.pull(registry.address() + "/web:y"), storage_errc::unsupported, "built for linux/s390x");
}

TEST_CASE("an unknown image, a registry that is not there and one that wants a password are told apart") {
  if (!has_program("skopeo"))
    return;
  importing at;
  std::string gone;
  {
    fake_registry registry;
    registry.add(web, "web", "1");
    gone = registry.address();
    check_refused(at.pull(registry.address() + "/web:2"), storage_errc::not_found, "does not know this image or tag");
    check_refused(at.pull(registry.address() + "/web@" + storage::digest_of("x").text()), storage_errc::not_found,
                  "does not know this image");
    registry.treat(web.config(), fake_registry::behaviour::refuses);
    check_refused(at.pull(registry.address() + "/web:1"), storage_errc::denied, "skopeo login --authfile");
  }
  check_refused(at.pull(gone + "/web:1"), storage_errc::unreachable, "nothing listens there");
  CHECK(must(at.store->list()).empty());
}

TEST_CASE("a registry that stalls in the middle of a blob ends with that sentence, and what arrived whole is not "
          "fetched again") {
  if (!has_program("skopeo"))
    return;
  importing at;
  at.access.stall_after = 5000ms;
  fake_registry registry;
  registry.add(web, "web", "1");
  registry.treat(web.layers[1], fake_registry::behaviour::stalls);
  const auto stalled = at.pull(registry.address() + "/web:1");
  check_refused(stalled, storage_errc::stalled, "nothing arrived for 5000 ms");
  CHECK(storage::is_retryable(stalled.error().code));
  CHECK(std::filesystem::is_empty(at.store->staging()));
  CHECK(at.store->blobs().contains(storage::digest_of(web.layers[0])));
  CHECK_FALSE(at.store->blobs().contains(storage::digest_of(web.layers[1])));
  CHECK(must(at.store->list()).empty());
  registry.treat(web.layers[1], fake_registry::behaviour::answers);
  must(at.pull(registry.address() + "/web:1"));
  const auto requests = registry.requests();
  CHECK(std::count(requests.begin(), requests.end(), "/v2/web/blobs/" + storage::digest_of(web.layers[0]).text()) == 1);
}

TEST_CASE("a manifest that never comes ends after its time") {
  if (!has_program("skopeo"))
    return;
  importing at;
  at.access.document_timeout = 1000ms;
  fake_registry registry;
  registry.add(web, "web", "1");
  registry.treat(web.config(), fake_registry::behaviour::stalls);
  check_refused(at.pull(registry.address() + "/web:1"), storage_errc::stalled, "nothing arrived for 1000 ms");
}

TEST_CASE("a cut transfer and a blob with other bytes are refused, and nothing of the image is used") {
  if (!has_program("skopeo"))
    return;
  importing at;
  fake_registry registry;
  registry.add(web, "web", "1");
  registry.treat(web.layers[0], fake_registry::behaviour::cuts);
  check_refused(at.pull(registry.address() + "/web:1"), storage_errc::unreachable, "the connection broke");
  registry.treat(web.layers[0], fake_registry::behaviour::lies);
  check_refused(at.pull(registry.address() + "/web:1"), storage_errc::unverified, "other bytes than it promised");
  registry.treat(web.layers[0], fake_registry::behaviour::answers);
  registry.treat(web.config(), fake_registry::behaviour::lies);
  const auto refused = at.pull(registry.address() + "/web:1");
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == storage_errc::unverified);
  CHECK(must(at.store->list()).empty());
}

TEST_CASE("a registry that sends more than it announced is cut off long before the disk is full") {
  if (!has_program("skopeo"))
    return;
  importing at;
  fake_registry registry;
  registry.add(web, "web", "1");
  registry.treat(web.layers[0], fake_registry::behaviour::floods);
  check_refused(at.pull(registry.address() + "/web:1"), storage_errc::unverified, "were announced");
  CHECK(std::filesystem::is_empty(at.store->staging()));
  CHECK(must(at.store->list()).empty());
}

TEST_CASE("a disk that fills up during a pull is told as that, and the store stays usable") {
  if (!has_program("skopeo"))
    return;
  importing at;
  small_disk disk(at.folder / "disk", "1m");
  if (!disk.mounted())
    return;
  at.reopen(disk.path() + "/images", importing::options());
  const test_image big({tar_builder().file("noise", noise(2'000'000)).bytes()}, packing::plain);
  fake_registry registry;
  registry.add(big, "big", "1");
  check_refused(at.pull(registry.address() + "/big:1"), storage_errc::disk_full, "free");
  CHECK(must(at.store->list()).empty());
  const test_image small({tar_builder().file("small", "x").bytes()});
  registry.add(small, "small", "1");
  must(at.pull(registry.address() + "/small:1"));
}

TEST_CASE("an image of Docker's dialect keeps its digest on the way through a real registry") {
  if (!has_program("skopeo") || !has_program("docker-registry"))
    return;
  importing at;
  const real_registry registry(at.folder / "registry");
  web.write_layout(at.folder / "layout", "1.0");
  const auto layout = "oci:" + (at.folder / "layout:1.0");
  run_tool({"skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "--format", "v2s2", layout,
            "docker://" + registry.address() + "/shop/web:docker"});
  run_tool({"skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", layout,
            "docker://" + registry.address() + "/shop/web:oci"});
  const auto pushed = run_tool(
      {"skopeo", "inspect", "--raw", "--tls-verify=false", "docker://" + registry.address() + "/shop/web:docker"});
  const auto docker = must(at.pull(registry.address() + "/shop/web:docker"));
  CHECK(docker.manifest == storage::digest_of(pushed));
  CHECK(docker.blobs.front().media_type == "application/vnd.docker.distribution.manifest.v2+json");
  const auto oci = must(at.pull(registry.address() + "/shop/web:oci"));
  CHECK(oci.manifest == web.digest());
  CHECK(oci.diff_ids == docker.diff_ids);
  CHECK(must(at.store->documents(docker.manifest)).config.command == std::vector<std::string>{"/bin/sh"});
  CHECK(must(at.store->blobs().list()).size() == 5); // two manifests, and what they share
  CHECK(std::filesystem::is_empty(at.store->staging()));
  check_refused(at.pull(registry.address() + "/shop/none:1"), storage_errc::not_found, "does not know this image");
  at.access.insecure = false;
  check_refused(at.pull(registry.address() + "/shop/web:oci"), storage_errc::refused, "speaks plain HTTP");
}

TEST_CASE("a registry with passwords gives an image to the right auth file only") {
  if (!has_program("skopeo") || !has_program("docker-registry"))
    return;
  importing at;
  // bcrypt of "salmon-and-dill"
  const real_registry registry(at.folder / "registry",
                               "cook:$2b$04$abcdefghijklmnopqrstuuWgKGZxA56QhF2IwSKXWTApiVo3N88wC");
  const auto auth = [&](const std::string& encoded) {
    const auto path = at.folder / "auth.json";
    write_bytes(path, R"({"auths":{")" + registry.address() + R"(":{"auth":")" + encoded + "\"}}}");
    return path;
  };
  const std::string right = "Y29vazpzYWxtb24tYW5kLWRpbGw="; // cook:salmon-and-dill
  web.write_layout(at.folder / "layout", "1.0");
  run_tool({"skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "--authfile", auth(right),
            "oci:" + (at.folder / "layout:1.0"), "docker://" + registry.address() + "/web:1"});
  check_refused(at.pull(registry.address() + "/web:1"), storage_errc::denied, "skopeo login --authfile");
  at.access.auth_file = auth("Y29vazpuby1pZGVh"); // cook:no-idea
  check_refused(at.pull(registry.address() + "/web:1"), storage_errc::denied, "skopeo login --authfile");
  at.access.auth_file = auth(right);
  CHECK(must(at.pull(registry.address() + "/web:1")).manifest == web.digest());
}
