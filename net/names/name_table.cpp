#include "net/names/name_table.hpp"

#include <algorithm>

namespace prunella::net {

namespace {

std::vector<std::string_view> labels_of(std::string_view name) {
  std::vector<std::string_view> labels;
  while (!name.empty()) {
    const auto dot = std::min(name.find('.'), name.size());
    labels.push_back(name.substr(0, dot));
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  return labels;
}

/// The zone that a name is in, if it is one of ours.
struct place {
  const named_application* application = nullptr;
  std::string zone;
};

place find_place(const name_table& table, const std::vector<std::string_view>& labels, std::uint32_t client) {
  const bool has_tenant = labels.size() == 3;
  const auto asker = table.tenant_of.find(client);
  const auto tenant = has_tenant ? std::string{labels[2]} : asker != table.tenant_of.end() ? asker->second : table.other_tenant;
  const auto own = table.tenants.find(tenant);
  if (own == table.tenants.end())
    return {};
  const auto application = own->second.find(std::string{labels[1]});
  if (application == own->second.end())
    return {};
  return {&application->second, application->first + (has_tenant ? '.' + tenant : std::string{})};
}

} // namespace

std::optional<dns_answer> answer_by(const name_table& table, const dns_query& query, std::uint32_t client) {
  auto labels = labels_of(query.name);
  std::vector<std::string_view> port; // `_http`, `_tcp`
  if (labels.size() > 2 && labels[0].front() == '_' && labels[1].front() == '_') {
    port.assign(labels.begin(), labels.begin() + 2);
    labels.erase(labels.begin(), labels.begin() + 2);
  }
  if (labels.size() != 2 && labels.size() != 3)
    return std::nullopt;
  const auto here = find_place(table, labels, client);
  if (here.application == nullptr)
    return std::nullopt;
  dns_answer answer;
  answer.zone = here.zone;
  answer.lifetime_s = name_lifetime_s;
  const auto service = here.application->find(std::string{labels[0]});
  if (service == here.application->end()) {
    answer.code = dns_code::no_name;
    return answer;
  }
  const auto type = static_cast<dns_type>(query.type);
  bool is_known = port.empty();
  for (const auto& x : service->second.ports) {
    const bool is_it = port.empty() || (port[0].substr(1) == x.name && port[1].substr(1) == config::to_text(x.protocol));
    is_known = is_known || is_it;
    if (is_it && (type == dns_type::srv || (type == dns_type::any && !port.empty())))
      answer.services.push_back({x.port, service->first + '.' + here.zone});
  }
  answer.target_address = service->second.address;
  if (!is_known)
    answer.code = dns_code::no_name;
  else if (port.empty() && (type == dns_type::a || type == dns_type::any))
    answer.addresses = {service->second.address};
  return answer;
}

} // namespace prunella::net
