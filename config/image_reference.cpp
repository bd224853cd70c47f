#include "config/image_reference.hpp"

#include <algorithm>
#include <cctype>

namespace prunella::config {

namespace {

constexpr std::size_t max_name = 255;
constexpr std::size_t max_tag = 128;
constexpr std::size_t digest_digits = 64;
constexpr std::size_t shown_text = 100;

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
void split_name(std::string_view name, parsed_image_reference& made) {
  const auto slash = name.find('/');
  if (slash != std::string_view::npos && slash > 0 && is_registry(name.substr(0, slash))) {
    made.registry = name.substr(0, slash);
    made.repository = name.substr(slash + 1);
  } else {
    made.registry = default_image_registry;
    made.repository = name;
  }
  if (made.registry == default_image_registry && made.repository.find('/') == std::string::npos)
    made.repository = "library/" + made.repository;
}

std::string parts_problem(const parsed_image_reference& made) {
  auto problem = registry_problem(made.registry);
  if (problem.empty())
    problem = repository_problem(made.repository);
  const auto size = made.registry.size() + 1 + made.repository.size();
  if (problem.empty() && size > max_name)
    problem = "registry and name have " + std::to_string(size) + " characters, at most 255 are allowed";
  return problem;
}

} // namespace

digest_problem find_digest_problem(std::string_view text) {
  const auto start = std::string(text.substr(0, shown_text));
  const auto bad = [&](const std::string& why) {
    return digest_problem{"'" + start + "' is not a digest: " + why + "; it has to be sha256: and 64 digits of 0-9 and a-f", false};
  };
  const auto colon = text.find(':');
  if (colon == std::string_view::npos)
    return bad("the algorithm is missing");
  const auto algorithm = text.substr(0, colon);
  if (algorithm != "sha256")
    return {"the digest '" + start + "' uses the algorithm '" + std::string(algorithm.substr(0, shown_text))
              + "'; only sha256 is supported", true};
  const auto hex = text.substr(colon + 1);
  const bool is_hex = std::all_of(hex.begin(), hex.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  return is_hex && hex.size() == digest_digits ? digest_problem{} : bad("behind the colon there are not 64 digits of 0-9 and a-f");
}

parsed_image_reference parse_image_reference(std::string_view text) {
  parsed_image_reference made;
  // Else a sentence about one character could hold a part of it, which is no text.
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; })) {
    made.error = "it has a character that is not printable ASCII";
    return made;
  }
  auto rest = text;
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    made.digest = rest.substr(at + 1);
    auto wrong = find_digest_problem(made.digest);
    made.error = std::move(wrong.error);
    made.is_unsupported = wrong.is_unsupported;
    rest = rest.substr(0, at);
  }
  const auto colon = rest.rfind(':');
  // A colon before the last slash is the registry's port.
  const bool is_tagged = colon != std::string_view::npos && rest.find('/', colon) == std::string_view::npos;
  if (is_tagged) {
    made.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
  }
  if (made.error.empty() && rest.empty())
    made.error = "there is no name";
  if (!made.error.empty())
    return made;
  split_name(rest, made);
  made.error = is_tagged ? tag_problem(made.tag) : std::string{};
  if (made.error.empty())
    made.error = parts_problem(made);
  if (made.tag.empty() && made.digest.empty())
    made.tag = default_image_tag;
  return made;
}

} // namespace prunella::config
