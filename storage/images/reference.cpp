#include "storage/images/reference.hpp"

#include <algorithm>
#include <cctype>

namespace prunella::storage {

namespace {

constexpr std::size_t max_name = 255;
constexpr std::size_t max_tag = 128;
constexpr std::size_t shown_text = 120;

bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_letter_or_digit(char c) {
  return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

/// Lower-case letters and digits, joined by one dot, one or two underscores, or any number of dashes. Empty: it is
/// good; else what is wrong.
std::string path_part_problem(std::string_view part) {
  if (part.empty())
    return "there is an empty part between two slashes";
  std::size_t at = 0;
  while (at < part.size()) {
    const auto word = at;
    while (at < part.size() && is_lower_or_digit(part[at]))
      ++at;
    if (at == word) {
      const char c = part[at];
      if (std::isupper(static_cast<unsigned char>(c)) != 0)
        return "the name has the capital letter '" + std::string(1, c) + "': write it in lower case";
      return "the name has '" + std::string(1, c) + "' where a letter or digit is needed";
    }
    if (at == part.size())
      return {};
    const auto joint = at;
    while (at < part.size() && (part[at] == '.' || part[at] == '_' || part[at] == '-'))
      ++at;
    const auto joined = part.substr(joint, at - joint);
    const bool dashes = std::all_of(joined.begin(), joined.end(), [](char c) { return c == '-'; });
    if (joined.empty())
      continue; // the next turn names the character
    if (!dashes && joined != "." && joined != "_" && joined != "__")
      return "'" + std::string(joined) +
             "' cannot join two words of the name: use one dot, one or two underscores, or dashes";
  }
  return "the name ends with '" + std::string(1, part.back()) + "' where a letter or digit is needed";
}

std::string port_problem(std::string_view port) {
  if (port.empty() || port.size() > 5 ||
      !std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return "the registry's port '" + std::string(port) + "' is not a number";
  const auto number = std::stoul(std::string(port));
  return number == 0 || number > 65535 ? "the registry's port " + std::string(port) + " is not in 1-65535"
                                       : std::string{};
}

/// `[::1]` or `[::1]:5000`; only the characters are checked: the resolver knows the rest.
std::string bracketed_problem(std::string_view registry) {
  const auto close = registry.find(']');
  if (close == std::string_view::npos || close == 1)
    return "the registry's address misses its ']'";
  const auto address = registry.substr(1, close - 1);
  if (!std::all_of(address.begin(), address.end(),
                   [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0 || c == ':'; }))
    return "'" + std::string(address) + "' is not an IPv6 address";
  const auto rest = registry.substr(close + 1);
  if (rest.empty())
    return {};
  return rest.front() == ':' ? port_problem(rest.substr(1)) : "behind the registry's ']' only a port may follow";
}

std::string registry_problem(std::string_view registry) {
  if (registry.front() == '[')
    return bracketed_problem(registry);
  const auto colon = registry.find(':');
  if (colon != std::string_view::npos) {
    auto problem = port_problem(registry.substr(colon + 1));
    if (!problem.empty())
      return problem;
  }
  auto host = registry.substr(0, colon);
  for (;;) {
    const auto dot = host.find('.');
    const auto label = host.substr(0, dot);
    const bool plain =
        std::all_of(label.begin(), label.end(), [](char c) { return is_letter_or_digit(c) || c == '-'; });
    if (label.empty() || !plain || label.front() == '-' || label.back() == '-')
      return "'" + std::string(registry) + "' is not a registry's host name";
    if (dot == std::string_view::npos)
      return {};
    host.remove_prefix(dot + 1);
  }
}

std::string tag_problem(std::string_view tag) {
  if (tag.empty())
    return "the tag behind the colon is empty";
  if (tag.size() > max_tag)
    return "the tag has " + std::to_string(tag.size()) + " characters, at most 128 are allowed";
  if (tag.front() == '.' || tag.front() == '-')
    return "the tag starts with '" + std::string(1, tag.front()) + "'";
  for (const char c : tag)
    if (!is_letter_or_digit(c) && c != '_' && c != '.' && c != '-')
      return "the tag has '" + std::string(1, c) + "': letters, digits, '_', '.' and '-' are allowed";
  return {};
}

std::string repository_problem(std::string_view repository) {
  for (;;) {
    const auto slash = repository.find('/');
    auto problem = path_part_problem(repository.substr(0, slash));
    if (!problem.empty() || slash == std::string_view::npos)
      return problem;
    repository.remove_prefix(slash + 1);
  }
}

bool is_registry(std::string_view first) {
  return first == "localhost" || first.find_first_of(".:[") != std::string_view::npos;
}

/// Splits `[registry/]repository` and completes it; the parts are not checked yet.
image_reference split_name(std::string_view name) {
  image_reference made;
  const auto slash = name.find('/');
  if (slash != std::string_view::npos && slash > 0 && is_registry(name.substr(0, slash))) {
    made.registry = name.substr(0, slash);
    made.repository = name.substr(slash + 1);
  } else {
    made.registry = default_registry;
    made.repository = name;
  }
  if (made.registry == default_registry && made.repository.find('/') == std::string::npos)
    made.repository = "library/" + made.repository;
  return made;
}

} // namespace

std::string image_reference::text() const {
  return name() + (tag.empty() ? "" : ":" + tag) + (is_pinned() ? "@" + pinned.text() : "");
}

result<image_reference> parse_reference(std::string_view text) {
  const auto bad = [&](const std::string& why) {
    return storage_error{storage_errc::malformed, "'" + std::string(text.substr(0, shown_text)) +
                                                      "' is not an image's name: " + why +
                                                      " (the form is [registry/]name[:tag][@sha256:...])"};
  };
  auto rest = text;
  digest pinned;
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    auto parsed = parse_digest(rest.substr(at + 1));
    if (!parsed)
      return parsed.error().code == storage_errc::unsupported ? parsed.error() : bad(parsed.error().message);
    pinned = std::move(*parsed);
    rest = rest.substr(0, at);
  }
  std::string_view tag;
  const auto colon = rest.rfind(':');
  // A colon before the last slash is the registry's port.
  const bool tagged = colon != std::string_view::npos && rest.find('/', colon) == std::string_view::npos;
  if (tagged) {
    tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
  }
  if (rest.empty())
    return bad("there is no name");
  auto made = split_name(rest);
  made.tag = tag;
  made.pinned = std::move(pinned);
  auto problem = tagged ? tag_problem(tag) : std::string{};
  if (problem.empty())
    problem = registry_problem(made.registry);
  if (problem.empty())
    problem = repository_problem(made.repository);
  if (problem.empty() && made.name().size() > max_name)
    problem = "registry and name have " + std::to_string(made.name().size()) + " characters, at most 255 are allowed";
  if (!problem.empty())
    return bad(problem);
  if (made.tag.empty() && !made.is_pinned())
    made.tag = default_tag;
  return made;
}

} // namespace prunella::storage
