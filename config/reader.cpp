#include "config/reader.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <tuple>

#include "config/limits.hpp"
#include "config/quantity.hpp"
#include "config/time.hpp"
#include "config/validate.hpp"
#include "config/yaml/binder.hpp"
#include "config/yaml/port_names.hpp"
#include "config/yaml/characters.hpp"
#include "config/yaml/tree.hpp"

namespace prunella::config {

namespace yaml {

namespace {

void read_amount(binding& b, const node& found, const std::string& path,
                 std::optional<std::int64_t> (*parse)(std::string_view), std::string_view form, std::int64_t& out) {
  const std::string fix = "write " + std::string(form);
  if (!expect(b, found, path, node_kind::scalar, fix))
    return;
  if (const auto amount = parse(found.text))
    out = *amount;
  else
    b.report(path, found.at, what_is(found), fix);
}

} // namespace

template <>
struct sugar<resources> : plain_keys {
  static std::vector<std::string> more_keys() { return {"cpu", "memory"}; }
  static std::string_view stands_for(std::string_view key) {
    return key == "cpu" ? "cpu_millis" : key == "memory" ? "memory_bytes" : key;
  }

  static bool read(binding& b, std::string_view key, const node& found, const std::string& path, resources& out) {
    if (key == "cpu")
      read_amount(b, found, path, parse_cpu, cpu_form, out.cpu_millis);
    else if (key == "memory")
      read_amount(b, found, path, parse_memory, memory_form, out.memory_bytes);
    else
      return false;
    return true;
  }
};

template <>
struct sugar<image_settings> : plain_keys {
  static std::vector<std::string> more_keys() { return {"bandwidth", "uplink-bandwidth"}; }
  static std::string_view stands_for(std::string_view key) {
    return key == "bandwidth" ? "bandwidth_bytes" : key == "uplink_bandwidth" ? "uplink_bytes" : key;
  }

  static bool read(binding& b, std::string_view key, const node& found, const std::string& path, image_settings& out) {
    if (key == "bandwidth")
      read_amount(b, found, path, parse_memory, memory_form, out.bandwidth_bytes);
    else if (key == "uplink_bandwidth")
      read_amount(b, found, path, parse_memory, memory_form, out.uplink_bytes);
    else
      return false;
    return true;
  }
};

template <>
struct sugar<volume_spec> : plain_keys {
  static std::vector<std::string> more_keys() { return {"size"}; }
  static std::string_view stands_for(std::string_view key) { return key == "size" ? "size_bytes" : key; }

  static bool read(binding& b, std::string_view key, const node& found, const std::string& path, volume_spec& out) {
    if (key == "size")
      read_amount(b, found, path, parse_memory, memory_form, out.size_bytes);
    return key == "size";
  }
};

template <>
struct sugar<log_spec> : plain_keys {
  static std::vector<std::string> more_keys() { return {"max-size"}; }
  static std::string_view stands_for(std::string_view key) { return key == "max_size" ? "max_size_bytes" : key; }

  static bool read(binding& b, std::string_view key, const node& found, const std::string& path, log_spec& out) {
    if (key == "max_size")
      read_amount(b, found, path, parse_memory, memory_form, out.max_size_bytes);
    return key == "max_size";
  }
};

/// `oci` alone is a driver without options.
void read(binding& b, const node& found, const std::string& path, driver_spec& out) {
  if (found.kind == node_kind::scalar)
    read(b, found, path, out.kind);
  else
    read_fields(b, found, path, out);
}

template <>
struct sugar<port_spec> : plain_keys {
  static bool read(binding& b, std::string_view key, const node& found, const std::string& path, port_spec& out) {
    if (key == "port")
      read_integer(b, found, path, 1, 65'535, out.port);
    else if (key == "publish")
      read_integer(b, found, path, 0, 65'535, out.publish); // 0 is how the API writes a port that is not published
    else
      return false;
    return true;
  }
};

template <>
struct sugar<tcp_probe_spec> : plain_keys {
  static bool read(binding& b, std::string_view key, const node& found, const std::string& path, tcp_probe_spec& out) {
    if (key == "port")
      read_integer(b, found, path, 0, 65'535, out.port); // 0 is how the API writes that there is none
    return key == "port";
  }
};

template <>
struct sugar<http_probe_spec> : plain_keys {
  static std::vector<std::string> more_keys() { return {"expect"}; }
  static std::string_view stands_for(std::string_view key) { return key == "expect" ? "expect_min" : key; }

  static bool read(binding& b, std::string_view key, const node& found, const std::string& path, http_probe_spec& out) {
    if (key == "port")
      read_integer(b, found, path, 0, 65'535, out.port);
    else if (key == "expect")
      read_range(b, found, path, out);
    else
      return false;
    return true;
  }

private:
  /// `200-399` or `204`.
  static void read_range(binding& b, const node& found, const std::string& path, http_probe_spec& out) {
    const std::string_view text = found.text;
    const auto number = [](std::string_view part, std::uint16_t& into) {
      const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), into);
      return part.size() == 3 && error == std::errc{} && end == part.data() + part.size();
    };
    const auto dash = std::min(text.find('-'), text.size());
    const bool is_good = found.kind == node_kind::scalar && number(text.substr(0, dash), out.expect_min)
                         && number(dash == text.size() ? text : text.substr(dash + 1), out.expect_max);
    if (!is_good)
      b.report(path, found.at, what_is(found), "write a status or a range of them, such as 204 or 200-399");
  }
};

namespace {

/// `backoff: {initial: 100ms, max: 10s}`
struct backoff_keys {
  std::chrono::milliseconds initial;
  std::chrono::milliseconds max;

  PRUNELLA_FIELDS(backoff_keys, initial, max)
};

} // namespace

template <>
struct sugar<restart_spec> : plain_keys {
  static std::vector<std::string> more_keys() { return {"backoff"}; }

  static bool read(binding& b, std::string_view key, const node& found, const std::string& path, restart_spec& out) {
    if (key == "intensity") {
      read_integer(b, found, path, 0, limits::intensity, out.intensity);
      return true;
    }
    if (key != "backoff")
      return false;
    backoff_keys backoff{out.backoff_initial, out.backoff_max};
    read_fields(b, found, path, backoff);
    out.backoff_initial = backoff.initial;
    out.backoff_max = backoff.max;
    return true;
  }
};

template <>
struct sugar<container_spec> : plain_keys {
  static std::vector<std::string> more_keys() { return {"disk"}; }
  static std::string_view stands_for(std::string_view key) { return key == "disk" ? "disk_bytes" : key; }

  static bool read(binding& b, std::string_view key, const node& found, const std::string& path, container_spec& out) {
    if (key == "disk") {
      read_amount(b, found, path, parse_memory, memory_form, out.disk_bytes);
      return true;
    }
    if (key != "command" || found.kind != node_kind::scalar)
      return false;
    b.report(path, found.at, "is the text " + quoted(found.text),
             "write a list of the program and its arguments: [program, argument], or for a shell [sh, -c, \"...\"]");
    return true;
  }
};

template <>
struct sugar<service_spec> : plain_keys {
  static bool read(binding& b, std::string_view key, const node& found, const std::string& path, service_spec& out) {
    if (key == "replicas")
      read_integer(b, found, path, 0, limits::replicas, out.replicas);
    else if (key == "when_cut_off" && found.kind == node_kind::scalar)
      read_word(b, found, path, out.when_cut_off);
    else
      return false;
    return true;
  }

private:
  /// `keep-running`, `exclusive`, and `stop-after 30s` (or `stop-after:30s`) on one line.
  static void read_word(binding& b, const node& found, const std::string& path, when_cut_off_spec& out) {
    constexpr std::string_view stop = "stop-after";
    const std::string_view text = found.text;
    const std::string fix = "write keep-running, exclusive or {stop-after: 30s}";
    if (text.substr(0, stop.size()) == stop) {
      const auto start = text.find_first_not_of(" :", stop.size());
      const auto after =
          start == std::string_view::npos || start == stop.size() ? std::nullopt : parse_duration(text.substr(start));
      if (after)
        out = {cut_off_mode::stop_after, *after};
      else
        b.report(path, found.at, what_is(found), "write {stop-after: 30s}, with " + std::string(duration_form));
      return;
    }
    const std::string mode = field_key(text);
    if (mode == "keep_running" || mode == "exclusive")
      out = {mode == "exclusive" ? cut_off_mode::exclusive : cut_off_mode::keep_running, {}};
    else
      b.report(path, found.at, what_is(found), fix);
  }
};

template <>
struct sugar<when_cut_off_spec> : plain_keys {
  static std::vector<std::string> more_keys() { return {"stop-after"}; }
  static std::string_view stands_for(std::string_view key) { return key == "stop_after" ? "mode" : key; }

  static bool read(binding& b, std::string_view key, const node& found, const std::string& path,
                   when_cut_off_spec& out) {
    if (key != "stop_after")
      return false;
    out.mode = cut_off_mode::stop_after;
    yaml::read(b, found, path, out.after);
    return true;
  }
};

template <>
struct sugar<application_spec> : plain_keys {
  static std::vector<std::string> more_keys() { return {"kind"}; }

  static bool read(binding& b, std::string_view key, const node& found, const std::string& path,
                   application_spec& out) {
    if (key == "intensity")
      read_integer(b, found, path, 0, limits::intensity, out.intensity);
    return key == "intensity" || key == "kind";
  }
};

template <>
struct sugar<site_spec> : plain_keys {
  static std::vector<std::string> more_keys() { return {"kind"}; }

  static bool read(binding&, std::string_view key, const node&, const std::string&, site_spec&) {
    return key == "kind";
  }
};

} // namespace yaml

namespace {

using yaml::binding;
using yaml::node;
using yaml::node_kind;

/// Whether `path` is one of `reported` or lies within one.
bool is_reported(const std::string& path, const std::vector<std::string>& reported) {
  return std::any_of(reported.begin(), reported.end(), [&](const std::string& known) {
    const bool starts = !known.empty() && path.compare(0, known.size(), known) == 0;
    return starts && (path.size() == known.size() || path[known.size()] == '.' || path[known.size()] == '[');
  });
}

/// The document's `kind`; nothing (and reported) when it does not say it well.
std::optional<document_kind> read_kind(binding& b, const node& root, std::optional<document_kind> default_kind) {
  const std::string fix = "write kind: site or kind: application";
  if (!yaml::expect(b, root, {}, node_kind::map, "write a map that starts with kind: site or kind: application"))
    return std::nullopt;
  for (const auto& entry : root.members)
    if (entry.key.text == "kind") {
      const int index = yaml::read_choice(b, entry.value, "kind", {"site", "application"});
      return index < 0 ? std::nullopt : std::optional(static_cast<document_kind>(index));
    }
  if (!default_kind)
    b.report("kind", root.at, "is missing", fix);
  return default_kind;
}

/// A probe whose port could not be read would be said to ask nothing.
bool is_probe_with_problem(const std::string& path, const std::vector<std::string>& reported) {
  const auto at = path.find(".probes.");
  return at != std::string::npos && path.find_first_of(".[", at + 8) == std::string::npos
         && std::any_of(reported.begin(), reported.end(), [&](const auto& known) { return known.compare(0, path.size() + 1, path + '.') == 0; });
}

/// Adds what `validate` says about things that could be read.
void add_validation(binding& b, std::vector<problem> found) {
  for (problem& p : found)
    if (!is_reported(p.path, b.reported) && !is_probe_with_problem(p.path, b.reported)) {
      p.file = b.file;
      p.at = b.positions.find(p.path);
      b.problems.push_back(std::move(p));
    }
}

/// One document; its problems are left in `b`.
document read_document(binding& b, const node& root, std::optional<document_kind> default_kind) {
  document out;
  b.positions.set({}, root.at);
  const auto kind = read_kind(b, root, default_kind);
  if (!kind)
    return out;
  out.kind = *kind;
  if (*kind == document_kind::site) {
    yaml::read_fields(b, root, {}, out.site);
    add_validation(b, validate(out.site));
  } else {
    yaml::read_fields(b, root, {}, out.application);
    add_validation(b, validate(out.application));
  }
  out.positions = b.positions;
  return out;
}

/// What cannot be true of two documents of one file.
void check_unique(binding& b, const document& next, std::set<std::string>& names) {
  const bool site = next.kind == document_kind::site;
  const std::string name =
      site ? "site " + next.site.name : "application " + next.application.tenant + '.' + next.application.name;
  if (!names.insert(name).second)
    b.report("name", b.positions.find("name"), "the " + name + " was already written in this file",
             "give one of the two another name, or remove it");
}

void sort_and_limit(std::vector<problem>& problems, std::size_t unreported, const std::string& file) {
  const auto key = [](const problem& p) { return std::tie(p.at.line, p.at.column); };
  std::stable_sort(problems.begin(), problems.end(),
                   [&](const problem& a, const problem& b) { return key(a) < key(b); });
  if (problems.size() > limits::problems) {
    unreported += problems.size() - limits::problems;
    problems.resize(limits::problems);
  }
  if (unreported > 0)
    problems.push_back(
        {file, {}, {}, std::to_string(unreported) + " more problems are not shown", "correct these first"});
}

read_result read_all(std::string_view text, const std::string& file_name, std::optional<document_kind> default_kind) {
  read_result result;
  auto parsed = yaml::parse(text);
  if (parsed.documents.size() > 1)
    default_kind.reset();
  std::set<std::string> names;
  std::size_t unreported = 0;
  for (node& root : parsed.documents) {
    yaml::number_probe_ports(root);
    binding b;
    b.file = file_name;
    document next = read_document(b, root, default_kind);
    if (b.problems.empty())
      check_unique(b, next, names);
    if (b.problems.empty())
      result.documents.push_back(std::move(next));
    unreported += b.unreported;
    result.problems.insert(result.problems.end(), std::make_move_iterator(b.problems.begin()),
                           std::make_move_iterator(b.problems.end()));
  }
  for (problem& p : parsed.problems) {
    p.file = file_name;
    result.problems.push_back(std::move(p));
  }
  if (result.problems.empty() && result.documents.empty())
    result.problems.push_back(
        {file_name, {}, {}, "there is no document in it", "write kind: site or kind: application"});
  sort_and_limit(result.problems, unreported, file_name);
  return result;
}

} // namespace

read_result read_documents(std::string_view text, const std::string& file_name) {
  return read_all(text, file_name, std::nullopt);
}

read_result read_documents(std::string_view text, const std::string& file_name, document_kind default_kind) {
  return read_all(text, file_name, default_kind);
}

} // namespace prunella::config
