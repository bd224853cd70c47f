#include "config/yaml/binder.hpp"

#include <algorithm>
#include <charconv>

#include "config/did_you_mean.hpp"
#include "config/limits.hpp"
#include "config/time.hpp"
#include "config/yaml/characters.hpp"

namespace prunella::config::yaml {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words)
    text.append(text.empty() ? "" : ", ").append(word);
  return text;
}

void binding::report(const std::string& path, position at, std::string what, std::string fix) {
  if (problems.size() >= limits::problems) {
    ++unreported;
    return;
  }
  reported.push_back(path);
  problems.push_back({file, at, path, std::move(what), std::move(fix)});
}

std::string key_path(const std::string& path, std::string_view key) {
  std::string text(key);
  std::replace(text.begin(), text.end(), '_', '-');
  return path.empty() ? text : path + '.' + text;
}

std::string item_path(const std::string& path, std::size_t index) {
  return path + '[' + std::to_string(index) + ']';
}

std::string field_key(std::string_view key) {
  std::string text(key);
  std::replace(text.begin(), text.end(), '-', '_');
  return text;
}

std::string what_is(const node& found) {
  switch (found.kind) {
  case node_kind::null:
    return "has no value";
  case node_kind::list:
    return "is a list";
  case node_kind::map:
    return "is a map";
  case node_kind::scalar:
    break;
  }
  return "is " + quoted(found.text);
}

bool expect(binding& b, const node& found, const std::string& path, node_kind kind, const std::string& fix) {
  if (found.kind == kind)
    return true;
  b.report(path, found.at, what_is(found), found.kind == node_kind::null ? fix + ", or remove it" : fix);
  return false;
}

bool read_whole(binding& b, const node& found, const std::string& path, std::int64_t min, std::int64_t max,
                std::int64_t& out) {
  const std::string fix = "write a whole number from " + std::to_string(min) + " to " + std::to_string(max);
  if (!expect(b, found, path, node_kind::scalar, fix))
    return false;
  const char* const end = found.text.data() + found.text.size();
  std::int64_t number = 0;
  const auto [at, error] = std::from_chars(found.text.data(), end, number);
  if (error != std::errc{} || at != end || number < min || number > max) {
    b.report(path, found.at, what_is(found), fix);
    return false;
  }
  out = number;
  return true;
}

void read(binding& b, const node& found, const std::string& path, std::string& out) {
  if (expect(b, found, path, node_kind::scalar, "write a text"))
    out = found.text;
}

void read(binding& b, const node& found, const std::string& path, bool& out) {
  const std::string fix = "write true or false";
  if (!expect(b, found, path, node_kind::scalar, fix))
    return;
  if (found.text == "true" || found.text == "false")
    out = found.text == "true";
  else
    b.report(path, found.at, what_is(found), fix);
}

void read(binding& b, const node& found, const std::string& path, std::chrono::milliseconds& out) {
  const std::string fix = "write " + std::string(duration_form);
  if (!expect(b, found, path, node_kind::scalar, fix))
    return;
  if (const auto duration = parse_duration(found.text))
    out = *duration;
  else
    b.report(path, found.at, what_is(found), fix);
}

void read(binding& b, const node& found, const std::string& path, std::map<std::string, std::string>& out) {
  if (!expect(b, found, path, node_kind::map, "write a map of texts"))
    return;
  out.clear();
  for (const member& entry : found.members) {
    if (entry.key.kind != node_kind::scalar) {
      b.report(path, entry.key.at, "a key of it has no text", "write a name before the colon");
      continue;
    }
    // Labels and variables keep their spelling, unlike the keys of documents.
    const std::string child = path + '.' + entry.key.text;
    b.positions.set(child, entry.value.at);
    if (out.count(entry.key.text) > 0) {
      b.report(child, entry.key.at, "is written twice", "keep one of them");
      continue;
    }
    std::string& value = out[entry.key.text];
    if (expect(b, entry.value, child, node_kind::scalar,
               entry.value.kind == node_kind::null ? "write \"\" for an empty text" : "write a text"))
      value = entry.value.text;
  }
}

int read_choice(binding& b, const node& found, const std::string& path, const std::vector<std::string>& texts) {
  const std::string fix = "write one of " + joined(texts);
  if (!expect(b, found, path, node_kind::scalar, fix))
    return -1;
  for (std::size_t i = 0; i < texts.size(); ++i)
    if (field_key(texts[i]) == field_key(found.text))
      return static_cast<int>(i);
  const std::string meant = did_you_mean(found.text, texts);
  b.report(path, found.at, what_is(found), meant.empty() ? fix : "did you mean " + meant + "? " + fix);
  return -1;
}

std::string key_checker::check(const member& entry, std::string_view (*stands_for)(std::string_view),
                               std::string& child) {
  if (entry.key.kind != node_kind::scalar || entry.key.text.empty()) {
    binding_.report(path_, entry.key.at, "a key of it has no text", "write a name before the colon");
    return {};
  }
  const std::string name = field_key(entry.key.text);
  child = key_path(path_, name);
  const auto [first, is_new] = seen_.emplace(stands_for(name), earlier{name, entry.key.at.line});
  if (!is_new) {
    const auto& [first_name, line] = first->second;
    const std::string where = line > 0 ? " in line " + std::to_string(line) : "";
    binding_.report(child, entry.key.at,
                    name == first_name ? "is written twice, first" + (where.empty() ? " above" : where)
                                       : "says the same as " + key_path({}, first_name) + where,
                    "keep one of them");
    return {};
  }
  // Of a list or map in the next line, its key is the better place to look at.
  const bool scalar = entry.value.kind == node_kind::scalar;
  binding_.positions.set(child, scalar ? entry.value.at : entry.key.at);
  return name;
}

void report_unknown_key(binding& b, const std::string& parent, const std::string& path, const node& key,
                        const std::vector<std::string>& known) {
  // Comparing words is the one slow step here; a file with thousands of bad keys must not buy time with it.
  const bool is_shown = b.problems.size() < limits::problems;
  const std::string meant = is_shown ? did_you_mean(key.text, known) : std::string{};
  b.report(path, key.at, "is not a known key",
           meant.empty() ? "known here are " + joined(known) : "did you mean " + meant + "?");
  // That the right key is missing is no second problem.
  if (!meant.empty())
    b.reported.push_back(key_path(parent, meant));
}

} // namespace prunella::config::yaml
