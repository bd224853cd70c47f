// A tag that is pushed again: the site runs one image by it until the application has a new version, and goes back to it.

#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <set>

#include "actors/api/image_view.hpp"
#include "tests/actors/busybox_image.hpp"
#include "tests/cluster/image_site.hpp"
#include "tests/storage/images/real_registry.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

/// The machine's busybox with a file that makes it another image.
test_image image_number(int number) {
  auto image = busybox_image();
  const auto layer = tar_builder().file("number", std::to_string(number)).bytes();
  const test_image only({layer});
  image.layers.push_back(only.layers[0]);
  image.diff_ids.push_back(only.diff_ids[0]);
  return image;
}

/// Digests of the images that containers of instances hold, on whichever host.
std::set<std::string> run_digests(const site_processes& site) {
  std::set<std::string> digests;
  for (const auto& image : site.get<std::vector<actors::image_view>>(site.some_host(), "/v1/images"))
    for (const auto& host : image.hosts)
      if (!host.holders.empty())
        digests.insert(image.digest);
  return digests;
}

/// `service tag digest` of what tags mean.
std::vector<std::string> meanings(const site_processes& site) {
  std::vector<std::string> found;
  for (const auto& image : site.get<std::vector<actors::image_view>>(site.some_host(), "/v1/images"))
    for (const auto& x : image.meant_by)
      found.push_back(x.service + ' ' + x.tag + ' ' + image.digest);
  return found;
}

std::size_t holders(const site_processes& site) {
  std::size_t count = 0;
  for (const auto& image : site.get<std::vector<actors::image_view>>(site.some_host(), "/v1/images"))
    for (const auto& host : image.hosts)
      count += host.holders.size();
  return count;
}

} // namespace

TEST_CASE("a tag that is pushed again between the starts of two hosts is one image at both, until there is a new version") {
  auto why = image_site_obstacle();
  for (const auto* program : {"/usr/bin/skopeo", "/usr/bin/docker-registry"})
    if (why.empty() && ::access(program, X_OK) != 0)
      why = std::string{program} + " is not installed";
  if (!why.empty()) {
    MESSAGE("SKIPPED: ", why);
    return;
  }
  site_processes site;
  const real_registry registry(site.folder() / "registry");
  const auto first = image_number(1);
  const auto second = image_number(2);
  const auto name = registry.push(first, "shop/web:1");
  site.more_words = {"--insecure-registry", registry.address()};
  site.start_all();
  auto spec = image_application("shop", "exec busybox sleep 1000000");
  spec.services[0].containers[0].image = name;
  spec.services[0].containers[0].grace = 1ms;
  spec.services[0].update.healthy_time = 1ms;
  spec.services[0].update.parallel = 2;
  REQUIRE(site.apply(spec).is_good());
  site.wait_for_running(1);
  const std::set<std::string> only_first{first.digest().text()};
  const std::set<std::string> only_second{second.digest().text()};
  site.wait_for("the list says what it runs", [&] { return run_digests(site) == only_first; });

  registry.push(second, "shop/web:1");
  // A third host, where the image never was, and the registry has another one under that name by now.
  REQUIRE(site.scale("shop", "main", 3).is_good());
  site.wait_for_running(3);
  site.wait_for("the list says what three hosts run", [&] { return holders(site) == 3; });
  CHECK(run_digests(site) == only_first);

  spec.services[0].replicas = 3;
  const auto revision = site.application("shop").revision;
  REQUIRE(site.apply(spec).is_good()); // nothing changed but what the tag means
  CHECK(site.application("shop").revision == revision);
  CHECK(run_digests(site) == only_first);
  spec.version = "2";
  REQUIRE(site.apply(spec).is_good());
  const auto took = site.wait_for("all run what the tag means now", [&] { return run_digests(site) == only_second; });
  MESSAGE("three instances ran the image that was pushed again after " << took.count() << " ms");
  CHECK(meanings(site) == std::vector<std::string>{"default.shop.main " + name + ' ' + second.digest().text()});
  site.wait_for("the update is done", [&] { return site.application("shop").update == "done"; });
  const auto back = site.call(site.some_host(), "POST", "/v1/applications/default.shop/rollback",
                              "{\"revision\": " + std::to_string(site.application("shop").revision) + '}');
  REQUIRE_MESSAGE(back.is_good(), back.body);
  site.wait_for("all run what they ran before", [&] { return run_digests(site) == only_first; });
}
