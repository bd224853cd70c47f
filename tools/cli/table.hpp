#pragma once

// Rows under headers, aligned by what a terminal shows.

#include <string>
#include <vector>

namespace prunella::tools {

struct table_column {
  std::string title;          ///< in capitals
  bool right_aligned = false; ///< numbers
  bool is_state = false;      ///< coloured by what it says
  bool is_optional = false;   ///< of sentences: left out where no row has it, and cut where there is not enough room
  int leaves_as = 0;          ///< left out where sentences would be cut below `good_sentence`: the first, the second, …; 0: never
};

/// A table as values; `render` makes it text.
struct table {
  std::vector<table_column> columns;
  std::vector<std::vector<std::string>> rows; ///< as many cells as columns; missing ones count as empty
};

/// One line per row, columns two blanks apart, no blanks at line ends; control characters in cells become `?`. Sentences are cut
/// for lines of `most_columns`, if that is not 0, but to no less than `least_sentence`; before it comes below `good_sentence`, columns leave.
inline constexpr std::size_t least_sentence = 20;
inline constexpr std::size_t good_sentence = 40;
[[nodiscard]] std::string render(const table& t, bool colours, std::size_t most_columns = 0);

/// A node of a drawn tree: what it is, and columns of facts beside it.
struct tree_node {
  std::string label;
  std::string state; ///< first fact; empty: none
  std::string facts; ///< the others, after the state
  std::vector<tree_node> children;
};

/// Draws `root` with branches; states and facts stand in columns beside the labels.
[[nodiscard]] std::string render(const tree_node& root, bool colours);

} // namespace prunella::tools
