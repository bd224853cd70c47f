// Lines of the console and words of the command line: understood, or refused in words; nothing of them is run.

#include <sstream>
#include <string>

#include "tests/fuzz/fuzz.hpp"
#include "tools/cli/command_line.hpp"
#include "tools/cli/words.hpp"

using namespace prunella::tools;
using prunella::fuzz::require;

namespace {

const known_names names{{"default.popcorn"}, {"default.popcorn/web"}, {"host-1"}, {"default.popcorn.web-1"}, {"host-1/root"}};

/// All commands are known; none is run.
const agent_commands agent{[](const auto&) { return 0; }, [](const auto&) { return 0; }, [](const auto&) { return 0; },
                           [](const auto&) { return 0; }};

/// `words` so that a line splits into them again.
std::string joined(const std::vector<std::string>& words) {
  std::string line;
  for (const auto& word : words) {
    line += line.empty() ? "\"" : " \"";
    for (const char c : word)
      line += (c == '"' || c == '\\') ? std::string{'\\', c} : std::string{c};
    line += '"';
  }
  return line;
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto line = prunella::fuzz::text_of(data, size);
  (void)complete(line, names);
  const auto split = split_line(line);
  require(split.error.empty() || (split.words.empty() && split.column >= 1 && split.column <= line.size()),
          "a line that cannot be split says where");
  if (!split.error.empty())
    return 0;
  require(split_line(joined(split.words)).words == split.words, "words that are quoted are split into the same");
  std::istringstream in;
  std::ostringstream out, err;
  terminal io{in, out, err};
  if (const auto code = check_words(split.words, io, agent))
    require(*code == 0 ? !out.str().empty() : !err.str().empty(), "what is not understood is answered in words");
  return 0;
}
