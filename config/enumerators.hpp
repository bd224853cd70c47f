#pragma once

// Whether a value that came as bytes holds only enumerators that this version knows: readers of bytes take any number for
// an enum, and `to_text` and `switch` rely on its range.

#include <cstddef>
#include <map>
#include <type_traits>
#include <variant>
#include <vector>

#include "config/fields.hpp"
#include "config/spec.hpp"

namespace prunella::config {

template <class T>
bool has_known_enumerators(const T& x);

namespace enumerator_detail {

template <class T, class = void>
struct has_texts : std::false_type {};
template <class T>
struct has_texts<T, std::void_t<decltype(enum_texts<T>::value)>> : std::true_type {};

template <class T>
bool all_known(const std::vector<T>& list) {
  for (const auto& x : list)
    if (!has_known_enumerators(x))
      return false;
  return true;
}

template <class Key, class T>
bool all_known(const std::map<Key, T>& map) {
  for (const auto& [key, x] : map)
    if (!has_known_enumerators(x))
      return false;
  return true;
}

template <class... Ts>
bool all_known(const std::variant<Ts...>& x) {
  return std::visit([](const auto& held) { return has_known_enumerators(held); }, x);
}

template <class T>
constexpr bool all_known(const T&) {
  return true;
}

} // namespace enumerator_detail

/// False if an enum with `enum_texts` anywhere in `x` (its fields, elements, alternatives) has a value without a text.
template <class T>
bool has_known_enumerators(const T& x) {
  if constexpr (std::is_enum_v<T> && enumerator_detail::has_texts<T>::value) {
    return static_cast<std::size_t>(x) < enum_texts<T>::value.size();
  } else if constexpr (has_fields_v<T>) {
    bool known = true;
    for_each_field(x, [&](std::string_view, const auto& member) { known = known && has_known_enumerators(member); });
    return known;
  } else {
    return enumerator_detail::all_known(x);
  }
}

} // namespace prunella::config
