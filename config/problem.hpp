#pragma once

// What is wrong with a document, and where.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/fields.hpp"

namespace prunella::config {

/// A place in a file, both counted from 1, columns in characters; 0: not known.
struct position {
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  PRUNELLA_FIELDS(position, line, column)
};

struct problem {
  std::string file; ///< empty: the document did not come from a file
  position at;
  std::string path; ///< `services[0].containers[1].ports[0].port`; empty: the whole document
  std::string what; ///< is wrong
  std::string fix;  ///< what would be right

  PRUNELLA_FIELDS(problem, file, at, path, what, fix)
};

/// `file:line:column: path: what; fix`, without the parts that are not known.
std::string problem_text(const problem& problem);

/// `path: what; fix`: for answers to requests, where there is no file.
std::string problem_summary(const problem& problem);

/// Where the value of each path was written.
class position_map {
public:
  void set(const std::string& path, position at) { positions_[path] = at; }

  /// Where `path` is; of a path that was not written, where the nearest thing around it is.
  position find(std::string_view path) const;

private:
  std::map<std::string, position, std::less<>> positions_;
};

} // namespace prunella::config
