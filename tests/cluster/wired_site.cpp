#include "tests/cluster/wired_site.hpp"

#include <algorithm>

namespace prunella::tests {

wired_site::wired_site() {
  site.start_all();
  REQUIRE(site.apply(specs[0]).status == 201);
  wait_for_specified(site, specs);
  watch = std::make_unique<copies_watch>(site);
  client = std::make_unique<recording_client>(site.endpoints(site.hosts()));
}

bool wired_site::is_possible() {
  const auto why_not = site_network::why_not();
  if (!why_not.empty())
    MESSAGE("SKIPPED: " << why_not);
  return why_not.empty();
}

void wired_site::require_others_go_on(const std::string& without) {
  client->set_endpoints(site.endpoints(site.hosts_without(without)));
  site.wait_for("the others run everything", [&] {
    const auto leader = site.leader();
    if (leader.empty() || leader == without)
      return false;
    const auto all = site.get<std::vector<actors::instance_view>>(leader, "/v1/instances");
    return all.size() == 3
           && std::all_of(all.begin(), all.end(), [&](const auto& x) { return x.state == "running" && x.host != without; });
  });
  const auto acknowledged = client->acknowledged();
  site.wait_for("the others take changes", [&] { return client->acknowledged() > acknowledged; });
}

void wired_site::require_healed() {
  client->set_endpoints(site.endpoints(site.hosts()));
  site.wait_for_leader(site.hosts());
  site.wait_for("all hosts are up", [&] {
    return std::all_of(site.hosts().begin(), site.hosts().end(), [&](const auto& x) { return site.host(x).state == "up"; });
  });
  wait_for_specified(site, specs);
}

void wired_site::finish() {
  client->stop();
  MESSAGE(client->acknowledged() << " changes acknowledged, " << client->refused() << " refused, " << client->unsure()
                                 << " unsure; the longest answer took " << client->longest().count() << " ms"
                                 << client->why_unsure());
  site.wait_for_agreement(site.hosts());
  client->check(site, site.hosts());
  watch->check();
}

void last_for(std::chrono::milliseconds how_long) {
  const auto end = std::chrono::steady_clock::now() + how_long;
  CHECK(eventually([&] { return std::chrono::steady_clock::now() > end; }, how_long + std::chrono::seconds{30}));
}

} // namespace prunella::tests
