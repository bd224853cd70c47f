#include "tools/cli/grammar/validators.hpp"

#include "config/did_you_mean.hpp"
#include "config/time.hpp"

namespace prunella::tools {

std::string suggestion(const std::string& word, const std::vector<std::string>& candidates) {
  const auto near = config::did_you_mean(word, candidates);
  if (!near.empty())
    return "did you mean `" + near + "`?";
  std::string list;
  for (const auto& candidate : candidates)
    list += (list.empty() ? "" : ", ") + candidate;
  return "it is one of " + list;
}

CLI::Validator one_of(std::vector<std::string> choices) {
  return CLI::Validator(
      [choices](std::string& word) {
        for (const auto& choice : choices)
          if (choice == word)
            return std::string();
        return "`" + word + "` is not known here; " + suggestion(word, choices);
      },
      "");
}

CLI::Validator whole_number(std::uint64_t from, std::uint64_t to) {
  const auto range = std::to_string(from) + " to " + std::to_string(to);
  return CLI::Validator(
      [=](std::string& word) {
        const bool digits =
            !word.empty() && word.size() < 11 && word.find_first_not_of("0123456789") == std::string::npos;
        if (digits && std::stoull(word) >= from && std::stoull(word) <= to)
          return std::string();
        return "`" + word + "` is not a whole number from " + range;
      },
      "");
}

CLI::Validator duration() {
  return CLI::Validator(
      [](std::string& word) {
        const auto parsed = config::parse_duration(word);
        if (parsed && parsed->count() > 0)
          return std::string();
        return "`" + word + "` is not a duration; write " + std::string(config::duration_form);
      },
      "");
}

CLI::Validator some_text() {
  return CLI::Validator([](std::string& word) { return std::string(word.empty() ? "the name is empty; write one" : ""); },
                        "");
}

} // namespace prunella::tools
