#pragma once

// Which hosts a service may be placed on, as an expression over their labels:
//
//   zone = front and not (disk = slow) and role in (till, kiosk) and exists gpu
//
//   expression := term { "or" term }              key   := letters, digits, `/ . - _`
//   term       := factor { "and" factor }         value := the same, or quoted with ' or "
//   factor     := "not" factor | "(" expression ")" | "exists" key | key [ test ]
//   test       := ("=" | "==" | "!=") value | ["not"] "in" "(" value { "," value } ")"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/spec.hpp"

namespace prunella::config {

struct parsed_label_expression;

/// A parsed expression; an empty one matches everything.
class label_expression {
public:
  /// Whether the labels of a host satisfy it. A label that is absent equals nothing: `a != b` and `a not in (b)` hold
  /// without `a`.
  bool matches(const config::labels& of_host) const;

private:
  friend class label_expression_parser;

  enum class operation : std::uint8_t { all_of, any_of, none_of, has_key, has_value };
  struct node {
    operation op = operation::all_of;
    std::string key;
    std::vector<std::string> values;   ///< of has_value: any of these
    std::vector<std::size_t> children; ///< of all_of, any_of, none_of: indexes into `nodes_`, all smaller than its own
  };

  bool holds(std::size_t index, const config::labels& of_host) const;

  std::vector<node> nodes_; ///< children before parents; the last is the root
};

struct parsed_label_expression {
  label_expression expression; ///< matches everything when there is an error
  std::size_t column = 0;      ///< of the error, from 1, in bytes
  std::string error;           ///< `expected a value after "=", found the end`; empty: none
};

/// At most 4096 bytes and 32 levels of parentheses and `not`. Blank text gives the expression that matches everything.
parsed_label_expression parse_label_expression(std::string_view text);

} // namespace prunella::config
