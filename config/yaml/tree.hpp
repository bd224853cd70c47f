#pragma once

// A YAML (or JSON) text as a tree with positions, within limits. Private to config: the documents' reader stands on it.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.hpp"

namespace prunella::config::yaml {

enum class node_kind : std::uint8_t { null, scalar, list, map };

struct member;

struct node {
  node_kind kind = node_kind::null;
  std::string text; ///< of a scalar, as written: types are decided by who reads it
  position at;
  std::vector<node> items;     ///< of a list
  std::vector<member> members; ///< of a map, in order, duplicates included
  std::size_t values = 1;      ///< in this tree, itself included
};

struct member {
  node key;
  node value;
};

struct parsed_text {
  std::vector<node> documents;   ///< those before the first problem; empty documents are left out
  std::vector<problem> problems; ///< at most one: what cannot be parsed is not guessed at. `file` and `path` are empty
};

/// Parses one text. Refuses, before a tree is built, more than `limits::file_bytes`, text that is not UTF-8 and control
/// characters; while it is built, more than `limits::nesting` levels, `limits::values` values (aliases count as what
/// they stand for) or `limits::documents` documents. Time is linear in the text; nothing is thrown.
parsed_text parse(std::string_view text);

} // namespace prunella::config::yaml
