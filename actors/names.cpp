#include "actors/names.hpp"

#include <charconv>

namespace prunella::actors {

std::string application_key(std::string_view tenant, std::string_view application) {
  std::string result{tenant};
  result += '.';
  result += application;
  return result;
}

std::string instance_name(std::string_view tenant, std::string_view application, std::string_view service,
                          std::uint32_t replica) {
  auto result = application_key(tenant, application);
  result += '.';
  result += service;
  result += '-';
  result += std::to_string(replica);
  return result;
}

std::string container_name(std::string_view instance, std::string_view container) {
  std::string result{instance};
  result += '.';
  result += container;
  return result;
}

instance_name_parts parse_instance_name(std::string_view name) {
  const auto first = name.find('.');
  const auto second = first == std::string_view::npos ? first : name.find('.', first + 1);
  const auto dash = name.rfind('-');
  if (second == std::string_view::npos || dash == std::string_view::npos || dash < second)
    return {};
  instance_name_parts parts;
  const auto digits = name.substr(dash + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), parts.replica);
  // A number has one text: no zero in front of it, or an instance would have several names.
  if (error != std::errc{} || end != digits.data() + digits.size() || digits.front() == '0')
    return {};
  parts.tenant = name.substr(0, first);
  parts.application = name.substr(first + 1, second - first - 1);
  parts.service = name.substr(second + 1, dash - second - 1);
  return parts;
}

} // namespace prunella::actors
