#pragma once

// JSON of every PRUNELLA_FIELDS type, for the API, the CLI and `-o json`. Keys are the field names as they are; enums
// are their `enum_texts`; durations are texts as in YAML ("500ms", "10s"); maps with string keys are objects.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "config/fields.hpp"
#include "config/spec.hpp"
#include "config/time.hpp"

namespace prunella::config {

struct parsed_json {
  boost::json::value value; ///< null when there is an error
  std::string error;        ///< `line 3, column 7: …`; empty: none
};

/// Parses one JSON text of at most 32 levels. Never throws on bad input.
parsed_json parse_json(std::string_view text);

/// `value` on one line.
std::string json_text(const boost::json::value& value);

/// `value` for people: two blanks per level, one member per line, ends with a newline.
std::string pretty_json(const boost::json::value& value);

/// What `value` is, for error texts: `the text "abc"`, `the number 7`, `a list`, `an object`, `true`, `null`.
std::string describe(const boost::json::value& value);

namespace json_detail {

template <class T>
struct is_vector : std::false_type {};
template <class T, class A>
struct is_vector<std::vector<T, A>> : std::true_type {};

template <class T>
struct is_string_map : std::false_type {};
template <class T, class C, class A>
struct is_string_map<std::map<std::string, T, C, A>> : std::true_type {};

template <class T>
struct is_duration : std::false_type {};
template <class Rep, class Period>
struct is_duration<std::chrono::duration<Rep, Period>> : std::true_type {};

template <class>
inline constexpr bool always_false = false;

/// Adds `path: expected …, found …` to `problems`.
void add_mismatch(const std::string& path, std::string_view expected, const boost::json::value& found,
                  std::vector<std::string>& problems);

/// `path` with the member `name`; without a dot at the start.
std::string member_path(const std::string& path, std::string_view name);

/// False when `value` is not a whole number within [min, max].
bool read_signed(const boost::json::value& value, std::int64_t min, std::int64_t max, std::int64_t& out);
bool read_unsigned(const boost::json::value& value, std::uint64_t max, std::uint64_t& out);

/// The texts of an enum for errors: `one of a, b, c`.
std::string choices(const std::string_view* texts, std::size_t count);

template <class T>
void read(const boost::json::value& value, T& out, const std::string& path, std::vector<std::string>& problems);

template <class T>
void read_integer(const boost::json::value& value, T& out, const std::string& path,
                  std::vector<std::string>& problems) {
  using limits = std::numeric_limits<T>;
  bool good = false;
  if constexpr (std::is_signed_v<T>) {
    std::int64_t wide = 0;
    good = read_signed(value, limits::min(), limits::max(), wide);
    if (good)
      out = static_cast<T>(wide);
  } else {
    std::uint64_t wide = 0;
    good = read_unsigned(value, limits::max(), wide);
    if (good)
      out = static_cast<T>(wide);
  }
  if (!good)
    add_mismatch(path, "a whole number from " + std::to_string(limits::min()) + " to " + std::to_string(limits::max()),
                 value, problems);
}

template <class T>
void read_list(const boost::json::value& value, T& out, const std::string& path, std::vector<std::string>& problems) {
  if (!value.is_array())
    return add_mismatch(path, "a list", value, problems);
  out.clear();
  out.reserve(value.get_array().size());
  for (const auto& element : value.get_array()) {
    typename T::value_type item{};
    read(element, item, path + '[' + std::to_string(out.size()) + ']', problems);
    out.push_back(std::move(item));
  }
}

template <class T>
void read_map(const boost::json::value& value, T& out, const std::string& path, std::vector<std::string>& problems) {
  if (!value.is_object())
    return add_mismatch(path, "an object", value, problems);
  out.clear();
  for (const auto& member : value.get_object())
    read(member.value(), out[std::string(member.key())], member_path(path, std::string_view(member.key())), problems);
}

template <class T>
void read_fields(const boost::json::value& value, T& out, const std::string& path, std::vector<std::string>& problems) {
  if (!value.is_object())
    return add_mismatch(path, "an object", value, problems);
  for_each_field(out, [&](std::string_view name, auto& member) {
    if (const auto* found = value.get_object().if_contains({name.data(), name.size()}))
      read(*found, member, member_path(path, name), problems);
  });
}

template <class T>
void read(const boost::json::value& value, T& out, const std::string& path, std::vector<std::string>& problems) {
  if constexpr (std::is_same_v<T, boost::json::value>) {
    out = value;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (value.is_bool())
      out = value.get_bool();
    else
      add_mismatch(path, "true or false", value, problems);
  } else if constexpr (std::is_integral_v<T>) {
    read_integer(value, out, path, problems);
  } else if constexpr (std::is_floating_point_v<T>) {
    if (value.is_number())
      out = value.to_number<T>();
    else
      add_mismatch(path, "a number", value, problems);
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (value.is_string())
      out.assign(value.get_string().data(), value.get_string().size());
    else
      add_mismatch(path, "a text", value, problems);
  } else if constexpr (std::is_enum_v<T>) {
    const auto& texts = enum_texts<T>::value;
    if (!value.is_string() || !from_text({value.get_string().data(), value.get_string().size()}, out))
      add_mismatch(path, choices(texts.data(), texts.size()), value, problems);
  } else if constexpr (is_duration<T>::value) {
    static_assert(std::is_same_v<T, std::chrono::milliseconds>, "durations in documents are milliseconds");
    const auto duration =
        value.is_string() ? parse_duration({value.get_string().data(), value.get_string().size()}) : std::nullopt;
    if (duration)
      out = *duration;
    else
      add_mismatch(path, duration_form, value, problems);
  } else if constexpr (is_vector<T>::value) {
    read_list(value, out, path, problems);
  } else if constexpr (is_string_map<T>::value) {
    read_map(value, out, path, problems);
  } else if constexpr (has_fields_v<T>) {
    read_fields(value, out, path, problems);
  } else {
    static_assert(always_false<T>, "give this type PRUNELLA_FIELDS, or add it here");
  }
}

} // namespace json_detail

/// The JSON of `x`; an object with every field for a PRUNELLA_FIELDS type.
template <class T>
boost::json::value to_json(const T& x) {
  if constexpr (std::is_same_v<T, boost::json::value>) {
    return x;
  } else if constexpr (std::is_same_v<T, bool> || std::is_floating_point_v<T>) {
    return boost::json::value(x);
  } else if constexpr (std::is_integral_v<T>) {
    if constexpr (std::is_signed_v<T>)
      return boost::json::value(std::int64_t{x});
    else
      return boost::json::value(std::uint64_t{x});
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    const std::string_view text = x;
    return boost::json::value(boost::json::string_view(text.data(), text.size()));
  } else if constexpr (std::is_enum_v<T>) {
    return to_json(to_text(x));
  } else if constexpr (json_detail::is_duration<T>::value) {
    static_assert(std::is_same_v<T, std::chrono::milliseconds>, "durations in documents are milliseconds");
    return to_json(duration_text(x));
  } else if constexpr (json_detail::is_vector<T>::value) {
    boost::json::array list;
    list.reserve(x.size());
    for (const auto& element : x)
      list.push_back(to_json(element));
    return list;
  } else if constexpr (json_detail::is_string_map<T>::value) {
    boost::json::object object;
    object.reserve(x.size());
    for (const auto& [key, element] : x)
      object.emplace(key, to_json(element));
    return object;
  } else if constexpr (has_fields_v<T>) {
    boost::json::object object;
    for_each_field(x, [&](std::string_view name, const auto& member) {
      object.emplace(boost::json::string_view(name.data(), name.size()), to_json(member));
    });
    return object;
  } else {
    static_assert(json_detail::always_false<T>, "give this type PRUNELLA_FIELDS, or add it here");
  }
}

/// Sets `out` from `value`. A field without a member keeps what it has; a member without a field is ignored, so that an
/// older program reads a newer one's answer (documents that people write go through `reader.hpp`, which is strict).
/// Returns every problem as `hosts[2].port: expected …, found …`, empty when all was well; fields with a problem keep
/// what they had.
template <class T>
std::vector<std::string> from_json(const boost::json::value& value, T& out) {
  std::vector<std::string> problems;
  json_detail::read(value, out, {}, problems);
  return problems;
}

} // namespace prunella::config
