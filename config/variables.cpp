#include "config/variables.hpp"

#include <algorithm>
#include <cctype>
#include <set>

namespace prunella::config {

namespace {

bool is_variable_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

/// The name if `text` begins with `${NAME}`; else empty.
std::string_view reference_at(std::string_view text) {
  const auto end = text.substr(0, 2) == "${" ? text.find('}') : std::string_view::npos;
  const auto name = end == std::string_view::npos ? std::string_view{} : text.substr(2, end - 2);
  return is_variable_name(name) ? name : std::string_view{};
}

} // namespace

std::vector<std::string> known_variables(const service_spec& service) {
  std::set<std::string> names{"SITE",    "HOST",     "ADDRESS", "TENANT",     "APPLICATION",
                              "SERVICE", "INSTANCE", "REPLICA", "GENERATION", "CONTAINER"};
  for (const auto& container : service.containers)
    for (const auto& port : container.ports)
      names.insert("PORT_" + port.name);
  return {names.begin(), names.end()};
}

std::string environment_name(std::string_view variable) {
  std::string name = "PRUNELLA_";
  for (const char c : variable)
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

expanded_text expand(std::string_view text, const std::map<std::string, std::string>& variables) {
  expanded_text out;
  while (!text.empty()) {
    const auto dollar = std::min(text.find('$'), text.size());
    out.text += text.substr(0, dollar);
    text.remove_prefix(dollar);
    if (text.substr(0, 3) == "$${") { // escaped: the first dollar goes, the rest is plain text
      out.text += "${";
      text.remove_prefix(3);
      continue;
    }
    const auto name = reference_at(text);
    const auto found = variables.find(std::string{name});
    if (name.empty()) {
      out.text += text.substr(0, 1);
      text.remove_prefix(std::min<std::size_t>(1, text.size()));
      continue;
    }
    const auto length = name.size() + 3;
    if (found == variables.end())
      out.unknown.emplace_back(name);
    out.text += found == variables.end() ? std::string{text.substr(0, length)} : found->second;
    text.remove_prefix(length);
  }
  return out;
}

std::vector<std::string> used_variables(std::string_view text) {
  return expand(text, {}).unknown;
}

} // namespace prunella::config
