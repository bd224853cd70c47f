#pragma once

// What the rules of a spec are written with. Private to validate.

#include <algorithm>
#include <cctype>
#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/limits.hpp"
#include "config/problem.hpp"
#include "config/spec.hpp"
#include "config/time.hpp"
#include "config/validate.hpp"
#include "config/yaml/characters.hpp"

namespace prunella::config {

using yaml::quoted;

inline constexpr std::string_view name_rule = "use 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends";

inline bool is_alnum(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 && static_cast<unsigned char>(c) < 0x80;
}

inline bool is_lower_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

inline bool all(std::string_view text, bool (*good)(char)) {
  return std::all_of(text.begin(), text.end(), good);
}

/// Collects problems; each check adds at most one. Of a list that is too long, only the allowed number is looked at.
class checker {
public:
  void add(const std::string& path, std::string what, std::string fix) {
    problems_.push_back({{}, {}, path, std::move(what), std::move(fix)});
  }

  bool check(bool good, const std::string& path, std::string what, std::string fix) {
    if (!good)
      add(path, std::move(what), std::move(fix));
    return good;
  }

  void name(const std::string& path, const std::string& name) {
    if (name.empty())
      add(path, "is missing", std::string(name_rule));
    else
      check(is_name(name), path, "is " + quoted(name), std::string(name_rule));
  }

  /// `name` unless it is the second of its kind; `seen` maps names to paths.
  void unique_name(const std::string& path, const std::string& text, std::map<std::string, std::string>& seen) {
    name(path, text);
    unique(path, text, seen);
  }

  void unique(const std::string& path, const std::string& text, std::map<std::string, std::string>& seen) {
    if (text.empty())
      return;
    const auto [first, is_new] = seen.emplace(text, path);
    check(is_new, path, quoted(text) + " is used by " + first->second + " too", "give each its own");
  }

  void count(const std::string& path, std::size_t size, std::size_t min, std::size_t max) {
    check(size >= min && size <= max, path,
          size == 0 ? "is missing or empty" : "has " + std::to_string(size) + " entries",
          "use " + std::to_string(min) + " to " + std::to_string(max));
  }

  template <class T>
  void range(const std::string& path, T value, T min, T max) {
    check(value >= min && value <= max, path, "is " + std::to_string(value),
          "use " + std::to_string(min) + " to " + std::to_string(max));
  }

  void duration(const std::string& path, std::chrono::milliseconds value, std::chrono::milliseconds min, std::chrono::milliseconds max) {
    check(value >= min && value <= max, path, "is " + duration_text(value),
          "use " + duration_text(min) + " to " + duration_text(max));
  }

  void labels(const std::string& path, const config::labels& labels) {
    count(path, labels.size(), 0, limits::labels);
    for (const auto& [key, value] : labels) {
      check(is_label_key(key), path + '.' + key, "is no label key",
            "use letters, digits and . _ - (at most 63), if needed behind a prefix such as example.com/");
      check(is_label_value(value), path + '.' + key, "is " + quoted(value),
            "use at most 63 letters, digits and . _ -, with a letter or digit at both ends");
    }
  }

  /// Amounts with `min` as the least of both.
  void amounts(const std::string& path, const resources& amounts, std::int64_t min) {
    const std::string what = min > 0 ? "is missing, zero or too large" : "is negative or too large";
    check(amounts.cpu_millis >= min && amounts.cpu_millis <= limits::cpu_millis, path + ".cpu", what,
          "write the cores, such as 4 or 500m");
    check(amounts.memory_bytes >= min && amounts.memory_bytes <= limits::memory_bytes, path + ".memory", what,
          "write the bytes, such as 4Gi or 64Mi");
  }

  /// More will not be shown, so costly advice is not worth it.
  bool is_full() const { return problems_.size() >= limits::problems; }

  std::vector<problem> take() { return std::move(problems_); }

private:
  std::vector<problem> problems_;
};

inline std::string item(const std::string& path, std::size_t index) {
  return path + '[' + std::to_string(index) + ']';
}

inline bool has_nul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

inline std::string port_text(std::uint16_t port, port_protocol protocol) {
  return std::to_string(port) + '/' + std::string(to_text(protocol));
}

/// Ports are reserved on the host an instance is placed on, so all containers of a service share one set.
using used_ports = std::map<std::pair<std::uint16_t, port_protocol>, std::string>;

/// What containers of one service are judged by.
struct service_rules {
  used_ports ports;
  std::vector<std::string> variables; ///< that its texts may refer to
  instance_network network = instance_network::host;
};

/// Adds what is wrong with `container`, apart from its name.
void check_container(checker& c, const std::string& path, const container_spec& container, service_rules& rules);

/// Adds what is wrong with `path` as an absolute path.
void check_absolute(checker& c, const std::string& at, const std::string& path);

} // namespace prunella::config
