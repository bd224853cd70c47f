#include "actors/door/published_views.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "actors/names.hpp"
#include "actors/site/address_holder.hpp"
#include "config/address.hpp"
#include "config/networks.hpp"

namespace prunella::actors {

namespace {

bool is_everywhere(const std::string& listened) {
  return listened.rfind("[::]:", 0) == 0 || listened.rfind("0.0.0.0:", 0) == 0;
}

/// `[::]:80` and `0.0.0.0:80` say nothing to who wants to connect: the address of the host does.
std::string reachable(const std::string& listened, const config::host_spec& host, std::uint16_t port) {
  const auto own = config::parse_address(host.address);
  return is_everywhere(listened) && own ? config::address_text({own->host, port}) : listened;
}

struct backend_row {
  published_backend_view view;
  bool is_own = false; ///< said by the host it is on, which knows best
};

using backend_rows = std::map<std::tuple<std::string, std::uint64_t>, backend_row>;

void add(backend_rows& rows, const net::door_backend_status& x, const std::string& said_by) {
  auto& row = rows[{x.instance, x.generation}];
  auto& view = row.view;
  view.instance = x.instance;
  view.host = x.host;
  view.connections += x.open;
  const bool is_own = said_by == x.host;
  if (view.state.empty() || (is_own && !row.is_own))
    view.state = x.is_ready ? "ready" : "draining";
  row.is_own = row.is_own || is_own;
}

published_view row_of(const config::service_spec& service, const config::port_spec& port, const std::string& name,
                      const site_state& state, const std::vector<door_status_answer>& doors) {
  published_view row;
  row.service = name;
  row.port = port.publish;
  row.protocol = config::to_text(port.protocol);
  row.publish_on = config::to_text(port.publish_on);
  row.wanted = service.replicas;
  backend_rows backends;
  bool is_at_site_address = false;
  for (const auto& door : doors)
    for (const auto& x : door.ports) {
      if (x.service != name || x.port != port.publish || x.protocol != port.protocol)
        continue;
      const auto host = state.hosts.find(door.host);
      is_at_site_address |= std::any_of(x.addresses.begin(), x.addresses.end(), is_everywhere);
      for (const auto& address : x.addresses)
        row.addresses.push_back(host == state.hosts.end() ? address : reachable(address, host->second.spec, x.port));
      if (!x.problem.empty())
        row.problems.push_back(door.host + ": " + x.problem);
      row.accepted += x.accepted;
      row.unserved += x.unserved;
      for (const auto& backend : x.backends)
        add(backends, backend, door.host);
    }
  const auto address = config::parse_interface_address(state.site.address);
  const auto why_nowhere = why_no_address_holder(state);
  if (address && is_at_site_address && why_nowhere.empty())
    row.addresses.insert(row.addresses.begin(), config::address_text({address->address, row.port}));
  if (is_at_site_address && !why_nowhere.empty())
    row.problems.push_back(why_nowhere);
  for (auto& [key, x] : backends) {
    row.ready += x.view.state == "ready" ? 1 : 0;
    row.connections += x.view.connections;
    row.backends.push_back(std::move(x.view));
  }
  row.state = !row.problems.empty() ? "degraded" : row.ready == 0 ? "unserved" : row.ready < row.wanted ? "degraded" : "ready";
  return row;
}

} // namespace

std::vector<published_view> published_views(const site_state& state, const std::vector<door_status_answer>& doors) {
  std::vector<published_view> rows;
  for (const auto& [key, record] : state.applications)
    for (const auto& service : record.spec.services)
      for (const auto& container : service.containers)
        for (const auto& port : container.ports)
          if (port.publish != 0)
            rows.push_back(row_of(service, port, key + '.' + service.name, state, doors));
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return std::tie(a.service, a.port, a.protocol) < std::tie(b.service, b.port, b.protocol);
  });
  return rows;
}

} // namespace prunella::actors
