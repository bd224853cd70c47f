#pragma once

// One field list per type. `PRUNELLA_FIELDS(type, a, b, c)` inside a struct serves every reader and writer of it:
// CAF's `inspect` (messages), cereal (log entries and stored rows), JSON (API and CLI) and comparison.
// The list's order is the stored order: append, never reorder, once a format has shipped.

#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>

namespace prunella::config {

/// Splits the stringified field list of PRUNELLA_FIELDS; `index` counts from 0.
constexpr std::string_view field_name(std::string_view list, std::size_t index) {
  for (; index > 0; --index)
    list.remove_prefix(list.find(',') + 1);
  while (!list.empty() && list.front() == ' ')
    list.remove_prefix(1);
  return list.substr(0, list.find(','));
}

template <class T, class = void>
struct has_fields : std::false_type {};

template <class T>
struct has_fields<T, std::void_t<decltype(T::field_names)>> : std::true_type {};

template <class T>
inline constexpr bool has_fields_v = has_fields<T>::value;

/// Calls `visit(name, member)` for each field of `x` in declaration order.
template <class T, class Visitor>
void for_each_field(T& x, Visitor&& visit) {
  using bare = std::remove_const_t<T>;
  std::size_t index = 0;
  std::apply([&](auto&... member) { (visit(field_name(bare::field_names, index++), member), ...); }, x.fields());
}

} // namespace prunella::config

/// Declares the fields of the enclosing struct; at least one.
#define PRUNELLA_FIELDS(type, ...)                                                                                     \
  static constexpr std::string_view field_names = #__VA_ARGS__;                                                        \
  static constexpr std::string_view type_name = #type;                                                                 \
  auto fields() { return std::tie(__VA_ARGS__); }                                                                      \
  auto fields() const { return std::tie(__VA_ARGS__); }                                                                \
  template <class Archive>                                                                                             \
  void serialize(Archive& archive) {                                                                                   \
    archive(__VA_ARGS__);                                                                                              \
  }                                                                                                                    \
  template <class Inspector>                                                                                           \
  friend auto inspect(Inspector& f, type& x) {                                                                         \
    return std::apply([&](auto&... member) { return f(member...); }, x.fields());                                      \
  }                                                                                                                    \
  friend bool operator==(const type& a, const type& b) { return a.fields() == b.fields(); }                            \
  friend bool operator!=(const type& a, const type& b) { return !(a == b); }
