#include "config/yaml/port_names.hpp"

#include <map>
#include <string>
#include <string_view>

namespace prunella::config::yaml {

namespace {

node* find(node& map, std::string_view key) {
  for (auto& entry : map.members)
    if (entry.key.text == key)
      return &entry.value;
  return nullptr;
}

std::map<std::string, std::string> numbers_by_name(node& ports) {
  std::map<std::string, std::string> numbers;
  for (auto& port : ports.items) {
    const auto* name = find(port, "name");
    const auto* number = find(port, "port");
    if (name != nullptr && number != nullptr && number->kind == node_kind::scalar)
      numbers.emplace(name->text, number->text);
  }
  return numbers;
}

void number_ports_of(node& container) {
  auto* ports = find(container, "ports");
  auto* probes = find(container, "probes");
  if (ports == nullptr || probes == nullptr)
    return;
  const auto numbers = numbers_by_name(*ports);
  for (auto& probe : probes->members)
    for (const auto* way : {"http", "tcp"})
      if (auto* asked = find(probe.value, way))
        if (auto* port = find(*asked, "port"); port != nullptr && port->kind == node_kind::scalar)
          if (const auto named = numbers.find(port->text); named != numbers.end())
            port->text = named->second;
}

} // namespace

// The tree is as deep as `limits::nesting` at most.
void number_probe_ports(node& root) {
  number_ports_of(root);
  for (auto& item : root.items)
    number_probe_ports(item);
  for (auto& entry : root.members)
    number_probe_ports(entry.value);
}

} // namespace prunella::config::yaml
