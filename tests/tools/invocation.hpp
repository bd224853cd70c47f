#pragma once

// The command line as a function: what one invocation printed and returned, beside a fake site.

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <unistd.h>

#include "tests/tools/fake_site.hpp"
#include "tools/cli/command_line.hpp"

namespace prunella::tests {

using namespace prunella::tools;
using words = std::vector<std::string>;

/// One invocation and everything it said.
struct invocation {
  int code = -1;
  std::string out;
  std::string err;
};

/// What the agent's commands were called with.
struct called {
  std::vector<site_init_options> init;
  std::vector<site_up_options> up;
  std::vector<host_run_options> run;
};

inline invocation run(const words& arguments, const std::string& input = {}, called* record = nullptr, int looks = 0) {
  called nobody;
  auto& to = record ? *record : nobody;
  agent_commands agent;
  agent.site_init = [&](const site_init_options& o) { return to.init.push_back(o), 0; };
  agent.site_up = [&](const site_up_options& o) { return to.up.push_back(o), 0; };
  agent.host_run = [&](const host_run_options& o) { return to.run.push_back(o), 7; };
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  terminal io{in, out, err};
  io.next_look = [&](auto) { return looks-- > 0; };
  invocation result;
  result.code = run_words_of(arguments, io, agent);
  result.out = out.str();
  result.err = err.str();
  return result;
}

inline invocation run_at(const fake_site& site, words arguments, const std::string& input = {}, int looks = 0) {
  arguments.insert(arguments.end(), {"--endpoint", site.url()});
  return run(arguments, input, nullptr, looks);
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A file that is gone at the end of the test.
class temporary_file {
public:
  explicit temporary_file(const std::string& text) {
    auto name = (std::filesystem::temp_directory_path() / "prunella-cli-XXXXXX").string();
    ::close(::mkstemp(name.data()));
    path_ = name;
    std::ofstream(path_) << text;
  }
  ~temporary_file() { std::remove(path_.c_str()); }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;

  const std::string& path() const { return path_; }

private:
  std::string path_;
};

} // namespace prunella::tests
