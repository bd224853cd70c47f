// How images spread over a site of real hosts: from a registry that is asked once, from a file, from each other.

#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>

#include "actors/api/image_view.hpp"
#include "tests/cluster/site_processes.hpp"
#include "tests/storage/images/fake_registry.hpp"
#include "tests/storage/images/image_builder.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

/// A lower layer that arrives at once and an upper one of some megabytes.
test_image make_image(std::size_t upper = 3'000'000) {
  return test_image{{tar_builder().file("base", noise(1'000)).bytes(), tar_builder().file("web", noise(upper)).bytes()}};
}

std::string blob_of(const test_image& image, std::size_t layer) {
  return storage::digest_of(image.layers[layer]).text();
}

bool has_skopeo() {
  if (::access("/usr/bin/skopeo", X_OK) != 0)
    MESSAGE("SKIPPED: skopeo is not installed");
  return ::access("/usr/bin/skopeo", X_OK) == 0;
}

/// Only a host that can run images is given instances of them.
bool has_runtime() {
  const bool has = (::access("/usr/bin/runc", X_OK) == 0 || ::access("/usr/sbin/runc", X_OK) == 0)
                   && ::access("/usr/bin/conmon", X_OK) == 0 && ::geteuid() == 0;
  if (!has)
    MESSAGE("SKIPPED: containers of images need root, runc and conmon");
  return has;
}

/// An application of one instance from `image`, on `host` if that is named.
config::application_spec application_of(const std::string& image, const std::string& host = {}) {
  auto spec = simple_application("shop", {});
  spec.services[0].containers[0].image = image;
  // Nothing in it runs: it stays where it is, starting, instead of giving up there and taking its image to the next host.
  spec.services[0].restart.backoff_initial = spec.services[0].restart.backoff_max = std::chrono::minutes{10};
  return host.empty() ? spec : on("host = " + host, std::move(spec));
}

std::vector<actors::image_view> images(const site_processes& site) {
  return site.get<std::vector<actors::image_view>>(site.some_host(), "/v1/images");
}

/// Hosts that are in `state` with the image called `name`, in order.
std::vector<std::string> hosts_with(const site_processes& site, const std::string& name,
                                    const std::string& state = "present") {
  std::vector<std::string> hosts;
  for (const auto& image : images(site))
    if (std::find(image.names.begin(), image.names.end(), name) != image.names.end())
      for (const auto& host : image.hosts)
        if (host.state == state)
          hosts.push_back(host.host);
  return hosts;
}

std::vector<actors::event_view> events_of(const site_processes& site, const std::string& image, const std::string& to) {
  std::vector<actors::event_view> found;
  for (auto& x : site.get<std::vector<actors::event_view>>(site.some_host(), "/v1/events?limit=1000"))
    if (x.object == "image/" + image && x.to == to)
      found.push_back(std::move(x));
  return found;
}

ended_program import(const site_processes& site, const std::string& host, const std::string& path, const std::string& name) {
  return run_prunella({"--endpoint", site.url(host), "image", "import", path, "--name", name}, site.folder());
}

} // namespace

TEST_CASE("an image that an application names comes from its registry once, and from there to a second host") {
  if (!has_skopeo())
    return;
  site_processes site;
  fake_registry registry;
  const auto image = make_image();
  registry.add(image, "shop/web", "1");
  const auto name = registry.address() + "/shop/web:1";
  site.more_words = {"--insecure-registry", registry.address()};
  site.start_all();
  REQUIRE(site.apply(application_of(name)).is_good());
  const auto took = site.wait_for("two hosts have the image", [&] { return hosts_with(site, name).size() == 2; });
  MESSAGE("two hosts had an image of 3 MB after " << took.count() << " ms");
  const auto requests = registry.requests();
  for (std::size_t layer = 0; layer < 2; ++layer)
    CHECK(std::count(requests.begin(), requests.end(), "/v2/shop/web/blobs/" + blob_of(image, layer)) == 1);
  site.wait_for("both events of it are told", [&] { return events_of(site, name, "present").size() == 2; });
  const auto news = events_of(site, name, "present");
  CHECK(news[0].reason.find(" from registry " + registry.address()) != std::string::npos);
  CHECK(news[1].reason.find(" from " + news[0].host + ", ") != std::string::npos);
  CHECK(images(site)[0].digest == image.digest().text());
  CHECK(images(site)[0].needed == "yes");
}

TEST_CASE("an image from a file at one host is copied to where it is needed, and once more when its source is gone") {
  if (!has_runtime())
    return;
  site_processes site;
  const auto image = make_image();
  const std::string name = "r.invalid/shop/web:1";
  image.write_layout(site.folder() / "layout", "1");
  site.start_all();
  const auto imported = import(site, "host-1", site.folder() / "layout", name);
  CHECK_MESSAGE(imported.code == 0, imported.output);
  CHECK(imported.output.find("image " + name + " imported at host-1: " + image.digest().text()) != std::string::npos);
  REQUIRE(site.apply(application_of(name, "host-2")).is_good());
  site.wait_for("the host that runs it has it", [&] {
    return hosts_with(site, name) == std::vector<std::string>{"host-1", "host-2"};
  });
  site.kill_host("host-1");
  site.wait_for("the third host has it from the second", [&] {
    const auto hosts = hosts_with(site, name);
    return hosts == std::vector<std::string>{"host-2", "host-3"};
  });
  site.wait_for("the event of it says so", [&] {
    const auto news = events_of(site, name, "present");
    return !news.empty() && news.back().host == "host-3" && news.back().reason.find(" from host-2, ") != std::string::npos;
  });
}

TEST_CASE("an agent that is killed in the middle of a pull goes on after it is started again, without the blobs it had") {
  if (!has_skopeo())
    return;
  site_processes site{config::liveness_profile::balanced, 1};
  fake_registry registry;
  const auto image = make_image();
  registry.add(image, "shop/web", "1");
  registry.treat(image.layers[1], fake_registry::behaviour::stalls);
  const auto name = registry.address() + "/shop/web:1";
  site.more_words = {"--insecure-registry", registry.address()};
  site.start_all();
  REQUIRE(site.apply(application_of(name)).is_good());
  const auto asked = [&](std::size_t layer) {
    const auto requests = registry.requests();
    return std::count(requests.begin(), requests.end(), "/v2/shop/web/blobs/" + blob_of(image, layer));
  };
  site.wait_for("both layers are asked for", [&] { return asked(0) == 1 && asked(1) == 1; });
  site.wait_for("the pull is told of", [&] { return hosts_with(site, name, "fetching").size() == 1; });
  // The small layer is whole on the disk by then or never will be asked for again: it is looked for by its digest.
  site.wait_for("the lower layer is there", [&] {
    for (const auto& file : std::filesystem::recursive_directory_iterator(site.data_dir("host-1") / "images"))
      if (file.path().filename() == storage::digest_of(image.layers[0]).hex && file.file_size() == image.layers[0].size())
        return true;
    return false;
  });
  site.kill_agent("host-1");
  registry.treat(image.layers[1], fake_registry::behaviour::answers);
  site.start("host-1");
  site.wait_for("the image is there", [&] { return hosts_with(site, name).size() == 1; });
  CHECK(asked(0) == 1);
  CHECK(asked(1) == 2);
}

TEST_CASE("a registry that knows no such image is an event with a next step, and costs the site nothing else") {
  if (!has_skopeo())
    return;
  site_processes site{config::liveness_profile::balanced, 1};
  fake_registry registry;
  const auto name = registry.address() + "/shop/web:1";
  site.more_words = {"--insecure-registry", registry.address()};
  site.start_all();
  REQUIRE(site.apply(simple_application("other")).is_good());
  REQUIRE(site.apply(application_of(name)).is_good());
  site.wait_for("the failure is told", [&] { return !events_of(site, name, "failed").empty(); });
  CHECK(events_of(site, name, "failed")[0].reason.find("check the name, or push it") != std::string::npos);
  site.wait_for("others run", [&] { return site.instance("default.other.main-1").state == "running"; });
  site.wait_for("the list says why", [&] {
    const auto rows = images(site);
    return rows.size() == 1 && rows[0].hosts.size() == 1 && rows[0].hosts[0].attempts >= 1
           && rows[0].hosts[0].reason.find("check the name, or push it") != std::string::npos;
  });
}

TEST_CASE("an import of what is no image, of nothing and under no name ends with a sentence and a next step") {
  site_processes site{config::liveness_profile::balanced, 1};
  site.start_all();
  const auto image = make_image(1'000);
  image.write_layout(site.folder() / "layout", "1");
  const auto fails = [&](const std::string& path, const std::string& name, const std::string& words) {
    const auto ended = import(site, "host-1", path, name);
    CHECK(ended.code == 1);
    CHECK_MESSAGE(ended.output.find(words) != std::string::npos, ended.output);
    CHECK_MESSAGE(ended.output.find("fix: ") != std::string::npos, ended.output);
  };
  fails(site.folder() / "nothing", "r.invalid/web:1", "there is no file or folder");
  fails(site.site_file(), "r.invalid/web:1", "cannot import");
  fails(site.folder(), "r.invalid/web:1", "is no OCI layout");
  fails(site.folder() / "layout", "Web", "cannot import");
  const auto other = site.folder() / "other";
  auto foreign = image;
  foreign.architecture = "s390x";
  foreign.write_layout(other, "1");
  fails(other, "r.invalid/web:1", "built for linux/s390x");
  site.wait_for("nothing is left of them", [&] { return images(site).empty(); });
  const auto raw = site.call("host-1", "POST", "/v1/images", R"({"path": "x", "name": "", "key": "1"})");
  CHECK(raw.status == 422);
  CHECK(raw.problem().cause.find("is not an absolute path") != std::string::npos);
  CHECK(site.call("host-1", "POST", "/v1/images", R"({"path": "/x"})").status == 400);
}
