#include "actors/site/site_difference.hpp"

#include <algorithm>
#include <map>

#include "config/quantity.hpp"

namespace prunella::actors {

namespace {

constexpr std::size_t named = 3; ///< differences in one text; the rest is counted

std::string labels_text(const config::labels& labels) {
  std::string text;
  for (const auto& [key, value] : labels)
    text += (text.empty() ? "" : ",") + key + '=' + value;
  return text.empty() ? "none" : text;
}

std::string resources_text(const config::resources& x) {
  return "cpu " + config::cpu_text(x.cpu_millis) + ", memory " + config::memory_text(x.memory_bytes);
}

std::string images_text(const config::image_settings& x) {
  const auto bound = [](std::int64_t bytes) { return bytes == 0 ? std::string{"as fast as it goes"} : config::memory_text(bytes) + " a second"; };
  return std::to_string(x.copies) + " copies, " + bound(x.bandwidth_bytes) + ", from registries " + bound(x.uplink_bytes);
}

std::string networks_text(const config::network_settings& x) {
  return x.range + (x.outbound ? "" : " without a way out");
}

class collector {
public:
  void compare(const std::string& what, const std::string& document, const std::string& site) {
    if (document != site)
      found.push_back(what + ": the document says " + document + ", the site " + site);
  }

  std::vector<std::string> found;
};

} // namespace

std::vector<std::string> differences(const config::site_spec& document, const site_state& state) {
  if (state.site.name.empty())
    return {};
  collector all;
  all.compare("liveness", std::string{config::to_text(document.liveness)}, std::string{config::to_text(state.site.liveness)});
  all.compare("labels", labels_text(document.labels), labels_text(state.site.labels));
  all.compare("images", images_text(document.images), images_text(state.site.images));
  all.compare("networks", networks_text(document.networks), networks_text(state.site.networks));
  all.compare("address", document.address.empty() ? "none" : document.address,
              state.site.address.empty() ? "none" : state.site.address);
  std::map<std::string, const config::host_spec*> hosts;
  for (const auto& host : document.hosts)
    hosts[host.id] = &host;
  for (const auto& [id, record] : state.hosts)
    hosts.try_emplace(id, nullptr);
  for (const auto& [id, host] : hosts) {
    const auto decided = state.hosts.find(id);
    if (host == nullptr || decided == state.hosts.end()) {
      all.found.push_back(id + (host == nullptr ? " is in the site and not in the document" : " is in the document and not in the site"));
      continue;
    }
    const auto& spec = decided->second.spec;
    all.compare(id + "'s address", host->address, spec.address);
    all.compare(id + "'s labels", labels_text(host->labels), labels_text(spec.labels));
    all.compare(id + "'s capacity", resources_text(host->capacity), resources_text(spec.capacity));
    all.compare(id + "'s controller", std::string{config::to_text(host->controller)}, std::string{config::to_text(spec.controller)});
  }
  return std::move(all.found);
}

std::string difference_text(const config::site_spec& document, const site_state& state) {
  const auto found = differences(document, state);
  if (found.empty())
    return {};
  std::string text = "its site document is not what the site was founded with: ";
  for (std::size_t i = 0; i < std::min(found.size(), named); ++i)
    text += (i == 0 ? "" : "; ") + found[i];
  if (found.size() > named)
    text += "; and " + std::to_string(found.size() - named) + " more";
  return text + ". The site's word counts, and a running site is not changed by its document: undo the edit";
}

} // namespace prunella::actors
