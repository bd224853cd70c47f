#include "tools/cli/words.hpp"

#include <algorithm>

namespace prunella::tools {

namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// Reads one word from `line` at `at` and leaves `at` behind it.
class word_reader {
public:
  word_reader(std::string_view line, std::size_t& at) : line_(line), at_(at) {}

  std::string read(split_words& result) {
    while (at_ < line_.size() && !is_blank(line_[at_]) && result.error.empty()) {
      const char c = line_[at_];
      if (c == '\'' || c == '"')
        quoted(c, result);
      else if (c == '\\')
        escaped(result);
      else
        word_ += line_[at_++];
    }
    return std::move(word_);
  }

private:
  void quoted(char quote, split_words& result) {
    const auto start = at_++;
    while (at_ < line_.size() && line_[at_] != quote) {
      if (quote == '"' && line_[at_] == '\\')
        escaped(result);
      else
        word_ += line_[at_++];
    }
    if (at_ < line_.size())
      ++at_;
    else if (result.error.empty())
      fail(result, start, std::string("the quote ") + quote + " is not closed; add another " + quote);
  }

  void escaped(split_words& result) {
    if (at_ + 1 >= line_.size())
      return fail(result, at_, "nothing follows the backslash; write \\\\ for a backslash itself");
    word_ += line_[at_ + 1];
    at_ += 2;
  }

  void fail(split_words& result, std::size_t at, std::string sentence) {
    result.error = std::move(sentence);
    result.column = at + 1;
    at_ = line_.size();
  }

  std::string_view line_;
  std::size_t& at_;
  std::string word_;
};

const std::vector<std::string> verbs{"apply", "config", "delete", "exec", "exit",     "get",   "help",   "host", "image", "inspect",
                                     "kill",  "logs",   "restart", "rollback", "run", "scale", "status", "top", "tree", "version"};

template <class... Lists>
std::vector<std::string> join(const Lists&... lists) {
  std::vector<std::string> all;
  (all.insert(all.end(), lists.begin(), lists.end()), ...);
  return all;
}

/// Candidates for the word after `before`.
std::vector<std::string> candidates(const std::vector<std::string>& before, const known_names& names) {
  if (before.empty())
    return verbs;
  const auto& verb = before.front();
  const auto& last = before.back();
  if (last == "-o" || last == "--output")
    return {"json", "table", "yaml"};
  if (verb == "host" && before.size() == 2)
    return names.hosts;
  if (before.size() > 1)
    return verb == "get" ? std::vector<std::string>{"-o"} : std::vector<std::string>{};
  if (verb == "get")
    return {"applications", "events", "hosts", "images", "instances", "services"};
  if (verb == "host")
    return {"drain", "undrain"};
  if (verb == "top")
    return {"containers", "hosts"};
  if (verb == "delete" || verb == "rollback")
    return names.applications;
  if (verb == "scale" || verb == "run")
    return names.services;
  if (verb == "restart")
    return join(names.services, names.instances);
  if (verb == "logs")
    return join(names.applications, names.services, names.instances);
  if (verb == "exec")
    return names.instances;
  if (verb == "kill")
    return names.actors;
  if (verb == "inspect")
    return join(names.applications, names.hosts, names.instances, names.actors);
  if (verb == "tree")
    return {"--actors"};
  if (verb == "apply")
    return {"-f"};
  if (verb == "config")
    return {"validate"};
  if (verb == "image")
    return {"import"};
  if (verb == "help")
    return verbs;
  return {};
}

} // namespace

split_words split_line(std::string_view line) {
  split_words result;
  for (std::size_t at = 0; at < line.size() && result.error.empty();) {
    if (is_blank(line[at])) {
      ++at;
      continue;
    }
    if (line[at] == '#')
      break;
    result.words.push_back(word_reader(line, at).read(result));
  }
  if (!result.error.empty())
    result.words.clear();
  return result;
}

std::vector<std::string> complete(std::string_view line, const known_names& names) {
  const auto split = split_line(line);
  if (!split.error.empty())
    return {};
  auto before = split.words;
  std::string start;
  if (!line.empty() && !is_blank(line.back()) && !before.empty()) {
    start = std::move(before.back());
    before.pop_back();
  }
  std::vector<std::string> fitting;
  for (auto& candidate : candidates(before, names))
    if (candidate.compare(0, start.size(), start) == 0)
      fitting.push_back(std::move(candidate));
  std::sort(fitting.begin(), fitting.end());
  fitting.erase(std::unique(fitting.begin(), fitting.end()), fitting.end());
  return fitting;
}

} // namespace prunella::tools
