#include "actors/instance/oci/seccomp_profile.hpp"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "config/json.hpp"

namespace prunella::actors {

namespace json = boost::json;

namespace {

struct architecture_names {
  std::string_view go;
  std::string_view seccomp;
};

constexpr architecture_names known_architectures[]{
    {"amd64", "SCMP_ARCH_X86_64"}, {"arm64", "SCMP_ARCH_AARCH64"}, {"arm", "SCMP_ARCH_ARM"}};

constexpr std::string_view copied_members[]{"names", "action", "errnoRet"};

bool holds_text(const json::array& list, std::string_view text) {
  return std::any_of(list.begin(), list.end(), [&](const json::value& element) {
    return element.is_string() && std::string_view{element.get_string().data(), element.get_string().size()} == text;
  });
}

bool shares_text(const json::array& list, const std::vector<std::string>& texts) {
  return std::any_of(texts.begin(), texts.end(), [&](const std::string& text) { return holds_text(list, text); });
}

/// A rule's `includes` or `excludes`: `{"caps": […], "arches": […]}`.
struct condition {
  bool any = false;   ///< there is one at all
  bool holds = false; ///< all of them, or for `excludes` one of them
};

condition check(const json::object& rule, std::string_view which, const std::vector<std::string>& capabilities,
                std::string_view architecture, bool all) {
  const auto* set = rule.if_contains({which.data(), which.size()});
  condition result;
  if (set == nullptr || !set->is_object() || set->get_object().empty())
    return result;
  result.any = true;
  bool every = true, some = false;
  for (const auto& member : set->get_object()) {
    bool met = false;
    if (member.key() == "caps" && member.value().is_array())
      met = shares_text(member.value().get_array(), capabilities);
    else if (member.key() == "arches" && member.value().is_array())
      met = holds_text(member.value().get_array(), architecture);
    every = every && met;
    some = some || met;
  }
  result.holds = all ? every : some;
  return result;
}

/// A rule counts when all it includes holds and nothing it excludes does.
bool counts(const json::object& rule, const std::vector<std::string>& capabilities, std::string_view architecture) {
  const auto included = check(rule, "includes", capabilities, architecture, true);
  const auto excluded = check(rule, "excludes", capabilities, architecture, false);
  return (!included.any || included.holds) && !excluded.holds;
}

json::object reduce(const json::object& rule) {
  json::object made;
  for (const auto name : copied_members)
    if (const auto* member = rule.if_contains({name.data(), name.size()}))
      made[{name.data(), name.size()}] = *member;
  if (const auto* arguments = rule.if_contains("args");
      arguments != nullptr && arguments->is_array() && !arguments->get_array().empty())
    made["args"] = *arguments;
  return made;
}

/// The machine's architecture with those whose programs it runs too; empty if the profile does not know it.
json::array architectures(const json::object& profile, std::string_view wanted) {
  json::array made;
  const auto* map = profile.if_contains("archMap");
  if (map == nullptr || !map->is_array())
    return made;
  for (const auto& element : map->get_array()) {
    const auto* entry = element.if_object();
    const auto* name = entry == nullptr ? nullptr : entry->if_contains("architecture");
    if (name == nullptr || !name->is_string() ||
        std::string_view{name->get_string().data(), name->get_string().size()} != wanted)
      continue;
    made.push_back(*name);
    if (const auto* further = entry->if_contains("subArchitectures"); further != nullptr && further->is_array())
      made.insert(made.end(), further->get_array().begin(), further->get_array().end());
  }
  return made;
}

driver_failure unusable(const std::string& why) {
  return {driver_errc::invalid_request,
          "the seccomp profile cannot be used: " + why + "; install Debian's golang-github-containers-common again"};
}

} // namespace

std::variant<json::object, driver_failure>
seccomp_section(std::string_view text, const std::vector<std::string>& capabilities, std::string_view architecture) {
  const auto parsed = config::parse_json(text);
  if (!parsed.error.empty())
    return unusable("it is not JSON: " + parsed.error);
  const auto* profile = parsed.value.if_object();
  const auto* action = profile == nullptr ? nullptr : profile->if_contains("defaultAction");
  const auto* rules = profile == nullptr ? nullptr : profile->if_contains("syscalls");
  if (action == nullptr || !action->is_string() || rules == nullptr || !rules->is_array())
    return unusable("it has no `defaultAction` or no `syscalls`");
  json::object made;
  made["defaultAction"] = *action;
  if (const auto* number = profile->if_contains("defaultErrnoRet"))
    made["defaultErrnoRet"] = *number;
  for (const auto& known : known_architectures)
    if (known.go == architecture)
      made["architectures"] = architectures(*profile, known.seccomp);
  if (!made.contains("architectures") || made["architectures"].get_array().empty())
    return unusable("it does not know the architecture " + std::string{architecture});
  json::array kept;
  for (const auto& element : rules->get_array())
    if (const auto* rule = element.if_object(); rule != nullptr && counts(*rule, capabilities, architecture))
      kept.push_back(reduce(*rule));
  made["syscalls"] = std::move(kept);
  return made;
}

} // namespace prunella::actors
