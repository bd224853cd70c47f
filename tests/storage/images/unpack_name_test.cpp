#include <doctest/doctest.h>

#include "storage/images/unpack.hpp"
#include "tests/storage/outcome.hpp"

using namespace prunella;
using namespace prunella::tests;
using storage::layer_entry;
using storage::storage_errc;
using kind = layer_entry::kind;

namespace {

layer_entry read(const std::string& name) {
  return must(storage::read_entry_name(name));
}

} // namespace

TEST_CASE("names in a layer are relative paths, whatever dots and slashes surround them") {
  CHECK(read("a/b") == layer_entry{kind::file, "a/b"});
  CHECK(read("./a//b/") == layer_entry{kind::file, "a/b"});
  CHECK(read("a/./b/.") == layer_entry{kind::file, "a/b"});
  CHECK(read("./") == layer_entry{kind::file, ""});
  CHECK(read("..a/b..") == layer_entry{kind::file, "..a/b.."});
  CHECK(read("a/...") == layer_entry{kind::file, "a/..."});
}

TEST_CASE("whiteouts name what they hide, opaque markers their folder, and other AUFS names are ignored") {
  CHECK(read("a/.wh.b") == layer_entry{kind::whiteout, "a/b"});
  CHECK(read(".wh.b") == layer_entry{kind::whiteout, "b"});
  CHECK(read("a/.wh..hidden") == layer_entry{kind::whiteout, "a/.hidden"});
  CHECK(read("a/.wh..wh..opq") == layer_entry{kind::opaque, "a"});
  CHECK(read("./.wh..wh..opq") == layer_entry{kind::opaque, ""});
  CHECK(read(".wh..wh.plnk/").what == kind::ignored);
  CHECK(read(".what") == layer_entry{kind::file, ".what"});
}

TEST_CASE("names that could leave the folder are refused, each with its reason") {
  const auto refused = [](const std::string& name, const std::string& words) {
    CAPTURE(name);
    check_refused(storage::read_entry_name(name), storage_errc::refused, words);
  };
  refused("", "it is empty");
  refused("/etc/passwd", "it is absolute");
  refused("..", "climbs with '..'");
  refused("../a", "climbs with '..'");
  refused("a/../b", "climbs with '..'");
  refused("a/b/..", "climbs with '..'");
  refused(std::string("a\0b", 3), "NUL");
  refused(".wh.", "hides no file");
  refused("a/.wh..", "hides no file");
  refused("a/.wh...", "hides no file");
  refused(std::string(256, 'n'), "256 characters");
  CHECK(read(std::string(255, 'n')).path.size() == 255);
  std::string deep;
  while (deep.size() < 4094)
    deep += "a/";
  CHECK(read(deep + "b").path.size() == 4095);
  refused(deep + "bc", "4096 characters");
}
