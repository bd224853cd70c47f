#include "config/problem.hpp"

namespace prunella::config {

std::string problem_text(const problem& problem) {
  std::string text = problem.file;
  if (problem.at.line > 0)
    text += (text.empty() ? "" : ":") + std::to_string(problem.at.line) + ':' + std::to_string(problem.at.column);
  return (text.empty() ? text : text + ": ") + problem_summary(problem);
}

std::string problem_summary(const problem& problem) {
  std::string text = problem.path.empty() ? std::string{} : problem.path + ": ";
  text += problem.what;
  return problem.fix.empty() ? text : text + "; " + problem.fix;
}

position position_map::find(std::string_view path) const {
  while (true) {
    if (const auto found = positions_.find(path); found != positions_.end())
      return found->second;
    if (path.empty())
      return {};
    const auto cut = path.find_last_of(".[");
    path = path.substr(0, cut == std::string_view::npos ? 0 : cut);
  }
}

} // namespace prunella::config
