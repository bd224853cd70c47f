#pragma once

// Which of a host's files containers may be given.

#include <algorithm>
#include <string>
#include <vector>

namespace prunella::config {

/// Whether `path` is one of `allowed` or below one, by the words alone; all absolute and without `..`.
inline bool is_below(const std::string& path, const std::vector<std::string>& allowed) {
  return std::any_of(allowed.begin(), allowed.end(), [&](std::string prefix) {
    while (prefix.size() > 1 && prefix.back() == '/')
      prefix.pop_back();
    return prefix == "/" || path == prefix || path.compare(0, prefix.size() + 1, prefix + "/") == 0;
  });
}

} // namespace prunella::config
