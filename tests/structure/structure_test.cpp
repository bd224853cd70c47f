// The house plan of the README, checked: which folders there are, and which may include which.

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

const fs::path root{PRUNELLA_SOURCE_DIR};
const std::set<std::string> folders{"actors", "config", "net", "runtime", "storage", "tests", "tools"};

/// Folder → folders it may include besides itself.
const std::map<std::string, std::set<std::string>> arrows{
  {"config", {}},
  {"storage", {"config"}},
  {"net", {"config"}},
  {"runtime", {"config"}},
  {"actors", {"runtime", "net", "storage", "config"}},
  {"tools", {"actors", "runtime", "net", "storage", "config"}},
};

struct source {
  fs::path path; ///< relative to the root
  std::vector<std::string> lines;
};

std::vector<source> sources() {
  std::vector<source> result;
  for (const auto& folder : folders)
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const auto extension = entry.path().extension();
      if (!entry.is_regular_file() || (extension != ".cpp" && extension != ".hpp"))
        continue;
      source x{fs::relative(entry.path(), root), {}};
      std::ifstream in{entry.path()};
      for (std::string line; std::getline(in, line);)
        x.lines.push_back(line);
      result.push_back(std::move(x));
    }
  return result;
}

std::vector<std::string> own_includes(const source& x) {
  static const std::regex pattern{R"re(^\s*#\s*include\s*"([^"]+)")re"};
  std::vector<std::string> result;
  for (const auto& line : x.lines) {
    std::smatch match;
    if (std::regex_search(line, match, pattern))
      result.push_back(match[1]);
  }
  return result;
}

std::string first_part(const fs::path& path) { return path.begin()->string(); }

} // namespace

TEST_CASE("the top level holds the agreed folders and files, and only dotfiles beside them") {
  std::set<std::string> allowed{"CMakeLists.txt", "README.md", "LICENSE", "CMakePresets.json"};
  allowed.insert(folders.begin(), folders.end());
  for (const auto& entry : fs::directory_iterator(root)) {
    const auto name = entry.path().filename().string();
    CAPTURE(name);
    CHECK((allowed.count(name) == 1 || name[0] == '.' || name.rfind("build", 0) == 0));
  }
  for (const auto& name : allowed) {
    CAPTURE(name);
    CHECK(fs::exists(root / name));
  }
}

TEST_CASE("includes follow the arrows between the folders") {
  const auto all = sources();
  REQUIRE(all.size() > 50);
  for (const auto& x : all) {
    const auto folder = first_part(x.path);
    if (folder == "tests")
      continue;
    for (const auto& include : own_includes(x)) {
      CAPTURE(x.path.string());
      CAPTURE(include);
      const auto target = first_part(include);
      const bool own = target == folder;
      const bool log_of_consensus = x.path.string().rfind("runtime/consensus/", 0) == 0 && target == "storage";
      CHECK((own || arrows.at(folder).count(target) == 1 || log_of_consensus));
    }
  }
}

TEST_CASE("own headers are included by their path from the root, and exist") {
  for (const auto& x : sources())
    for (const auto& include : own_includes(x)) {
      CAPTURE(x.path.string());
      CAPTURE(include);
      CHECK(fs::exists(root / include));
    }
}

TEST_CASE("headers are guarded, and nobody opens a namespace for all who include them") {
  static const std::regex opened{R"(^using namespace)"};
  for (const auto& x : sources()) {
    if (x.path.extension() != ".hpp")
      continue;
    CAPTURE(x.path.string());
    CHECK((!x.lines.empty() && x.lines.front() == "#pragma once"));
    if (first_part(x.path) == "tests")
      continue; // a fixture's includer is a test that wants its words
    for (const auto& line : x.lines)
      CHECK_FALSE(std::regex_search(line, opened));
  }
}

TEST_CASE("main, the environment and signals are only in tools, BASP is nowhere") {
  static const std::regex entry{R"(^int main\()"};
  static const std::regex ambient{R"((\bstd::getenv\(|\bsecure_getenv\(|\bgetenv\(|\bsigaction\()|(\bstd::signal\())"};
  static const std::regex basp{R"((\.publish\(|\bremote_actor\(|\bmiddleman\(\)\.(open|connect|publish)))"};
  for (const auto& x : sources()) {
    const auto folder = first_part(x.path);
    if (folder == "tests" || folder == "tools")
      continue;
    for (const auto& line : x.lines) {
      CAPTURE(x.path.string());
      CAPTURE(line);
      CHECK_FALSE(std::regex_search(line, entry));
      CHECK_FALSE(std::regex_search(line, ambient));
      CHECK_FALSE(std::regex_search(line, basp));
    }
  }
}

TEST_CASE("files can be read in one sitting: at most 600 lines") {
  for (const auto& x : sources()) {
    CAPTURE(x.path.string());
    CHECK(x.lines.size() <= 600);
  }
}

TEST_CASE("every folder says what lives in it") {
  for (const auto& folder : folders) {
    CAPTURE(folder);
    CHECK(fs::exists(root / folder / "README.md"));
  }
}
