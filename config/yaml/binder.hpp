#pragma once

// Fills PRUNELLA_FIELDS types from a tree and collects every problem on the way. Private to config. Types that people
// write in more than one way specialise `sugar`.

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "config/fields.hpp"
#include "config/problem.hpp"
#include "config/spec.hpp"
#include "config/yaml/tree.hpp"

namespace prunella::config::yaml {

/// What is being read and what was found.
struct binding {
  std::string file;
  position_map positions;
  std::vector<problem> problems;
  /// Of what a problem was reported, also where a misspelt key was meant to be: nothing more is said about these.
  std::vector<std::string> reported;
  /// Problems beyond `limits::problems`: only counted.
  std::size_t unreported = 0;

  void report(const std::string& path, position at, std::string what, std::string fix);
};

/// Only the fields are keys, and each stands for itself.
struct plain_keys {
  static std::vector<std::string> more_keys() { return {}; }
  static std::string_view stands_for(std::string_view key) { return key; }
};

/// What other keys than its fields a type has, and which of its fields are read specially. `read` fills `out` from the
/// member `key` (with `_`) and returns true, or returns false to leave the key to the fields. Two keys that stand for
/// the same must not both be written.
template <class T>
struct sugar : plain_keys {
  static bool read(binding&, std::string_view, const node&, const std::string&, T&) { return false; }
};

/// `path.key`, the key as people write it (`_` as `-`).
std::string key_path(const std::string& path, std::string_view key);

/// `path[index]`.
std::string item_path(const std::string& path, std::size_t index);

/// `x` with every `-` as `_`, as fields are named.
std::string field_key(std::string_view key);

/// `words` with commas between them.
std::string joined(const std::vector<std::string>& words);

/// What `found` is, for errors: `is "abc"`, `is a list`, `is a map`, `has no value`.
std::string what_is(const node& found);

/// False, and reported, when `found` is not of this kind; `fix` says what would be right.
bool expect(binding& b, const node& found, const std::string& path, node_kind kind, const std::string& fix);

/// Whole number within [min, max].
template <class T>
void read_integer(binding& b, const node& found, const std::string& path, std::int64_t min, std::int64_t max, T& out);

/// The same for 64 bits; false and reported if it is none.
bool read_whole(binding& b, const node& found, const std::string& path, std::int64_t min, std::int64_t max,
                std::int64_t& out);

void read(binding& b, const node& found, const std::string& path, std::string& out);
void read(binding& b, const node& found, const std::string& path, bool& out);
void read(binding& b, const node& found, const std::string& path, std::chrono::milliseconds& out);
void read(binding& b, const node& found, const std::string& path, std::map<std::string, std::string>& out);

/// The index of the text in `texts`; -1 and reported when there is none. `_` equals `-`.
int read_choice(binding& b, const node& found, const std::string& path, const std::vector<std::string>& texts);

/// Checks keys one by one: each a text, written once.
class key_checker {
public:
  key_checker(binding& b, const std::string& path) : binding_(b), path_(path) {}

  /// The name of the key with `_` and, in `child`, the path of the member; empty (and reported) if it is bad or says
  /// what an earlier one said already, by `stands_for`.
  std::string check(const member& entry, std::string_view (*stands_for)(std::string_view), std::string& child);

private:
  struct earlier {
    std::string name;
    std::uint32_t line;
  };

  binding& binding_;
  const std::string& path_;
  std::map<std::string, earlier, std::less<>> seen_;
};

/// Reports a key that is not in `known` (written with `-`).
void report_unknown_key(binding& b, const std::string& parent, const std::string& path, const node& key,
                        const std::vector<std::string>& known);

template <class T>
void read(binding& b, const node& found, const std::string& path, std::vector<T>& out);

template <class T>
void read(binding& b, const node& found, const std::string& path, T& out);

template <class T>
void read_integer(binding& b, const node& found, const std::string& path, std::int64_t min, std::int64_t max, T& out) {
  std::int64_t wide = 0;
  if (read_whole(b, found, path, min, max, wide))
    out = static_cast<T>(wide);
}

template <class T>
void read(binding& b, const node& found, const std::string& path, std::vector<T>& out) {
  const bool texts = std::is_same_v<T, std::string> && found.kind == node_kind::scalar;
  if (!expect(b, found, path, node_kind::list, texts ? "write a list: [" + found.text + "]" : "write a list"))
    return;
  out.clear();
  for (std::size_t i = 0; i < found.items.size(); ++i) {
    const std::string child = item_path(path, i);
    b.positions.set(child, found.items[i].at);
    T item{};
    read(b, found.items[i], child, item);
    out.push_back(std::move(item));
  }
}

/// Every key that people may write in a map that becomes a T, with `-`.
template <class T>
std::vector<std::string> known_keys() {
  std::vector<std::string> keys = sugar<T>::more_keys();
  T model{};
  // The bytes or thousandths behind a key that people write with a unit are how the API writes them: not offered beside it.
  std::set<std::string> replaced;
  for (const auto& key : keys) {
    const auto name = field_key(key);
    const std::string field{sugar<T>::stands_for(name)};
    const auto ends_with = [&](std::string_view end) { return field.size() > end.size() && field.compare(field.size() - end.size(), end.size(), end) == 0; };
    if (ends_with("_bytes") || ends_with("_millis"))
      replaced.insert(field);
  }
  for_each_field(model, [&](std::string_view name, auto&) {
    if (replaced.count(std::string{name}) == 0)
      keys.push_back(key_path({}, name));
  });
  return keys;
}

template <class T>
void read_fields(binding& b, const node& found, const std::string& path, T& out) {
  if (found.kind != node_kind::map) {
    expect(b, found, path, node_kind::map, "write a map with the keys " + joined(known_keys<T>()));
    return;
  }
  key_checker keys(b, path);
  for (const member& entry : found.members) {
    std::string child;
    const std::string name = keys.check(entry, sugar<T>::stands_for, child);
    if (name.empty() || sugar<T>::read(b, name, entry.value, child, out))
      continue;
    bool known = false;
    for_each_field(out, [&](std::string_view field, auto& value) {
      if (field == name) {
        known = true;
        read(b, entry.value, child, value);
      }
    });
    if (!known)
      report_unknown_key(b, path, child, entry.key, known_keys<T>());
  }
}

template <class T>
void read(binding& b, const node& found, const std::string& path, T& out) {
  if constexpr (std::is_enum_v<T>) {
    const auto& texts = enum_texts<T>::value;
    if (const int index = read_choice(b, found, path, {texts.begin(), texts.end()}); index >= 0)
      out = static_cast<T>(index);
  } else if constexpr (std::is_integral_v<T>) {
    using bounds = std::numeric_limits<T>;
    constexpr bool wide = bounds::digits > std::numeric_limits<std::int64_t>::digits;
    read_integer(b, found, path, bounds::min(), wide ? std::numeric_limits<std::int64_t>::max() : bounds::max(), out);
  } else {
    static_assert(has_fields_v<T>,
                  "documents hold texts, numbers, true and false, enums, durations, lists, label maps and field lists");
    read_fields(b, found, path, out);
  }
}

} // namespace prunella::config::yaml
