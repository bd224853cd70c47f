#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/limits.hpp"
#include "config/reader.hpp"
#include "config/text_file.hpp"

using namespace prunella::config;

namespace {

class temporary_folder {
public:
  temporary_folder() {
    auto name = (std::filesystem::temp_directory_path() / "prunella-text-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;

  std::string operator/(const std::string& name) const { return path_ / name; }

private:
  std::filesystem::path path_;
};

text_file read(const std::string& path, std::size_t max_bytes = 10) {
  return read_text_file(path, {max_bytes, std::chrono::milliseconds{20}});
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

} // namespace

TEST_CASE("a file of exactly the limit is read, also an empty one, and one byte more is refused unread") {
  const temporary_folder folder;
  std::ofstream{folder / "ten"} << "0123456789";
  std::ofstream{folder / "eleven"} << "0123456789a";
  std::ofstream{folder / "none"};
  CHECK(read(folder / "ten").text == "0123456789");
  CHECK(read(folder / "ten").error.empty());
  CHECK(read(folder / "none").error.empty());
  CHECK(read(folder / "eleven").text.empty());
  CHECK(read(folder / "eleven").error == "is larger than 10 bytes; split it, or name another file");
}

TEST_CASE("a sparse file of 100 MB is refused by its size") {
  const temporary_folder folder;
  std::ofstream{folder / "large"};
  REQUIRE(::truncate((folder / "large").c_str(), 100'000'000) == 0);
  CHECK(contains(read(folder / "large", limits::file_bytes).error, "is larger than 1048576 bytes"));
}

TEST_CASE("what is no file is told as what it is") {
  const temporary_folder folder;
  CHECK(read("/").error == "is a folder; name a file in it");
  CHECK(read("/dev/zero").error == "is a device; name a file");
  CHECK(read("/dev/null").error == "is a device; name a file");
  CHECK(read("").error == "is no name of a file; name one");
  CHECK(contains(read(folder / "missing").error, "No such file or directory; check the name"));
  CHECK(contains(read("/dev/null/x").error, "Not a directory; check the name"));
  CHECK(contains(read(std::string(5'000, 'x')).error, "cannot be read: "));
  ::symlink((folder / "loop").c_str(), (folder / "loop").c_str());
  CHECK(contains(read(folder / "loop").error, "cannot be read: "));

  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  (folder / "socket").copy(name.sun_path, sizeof name.sun_path - 1);
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
  CHECK(read(folder / "socket").error == "is a socket or a device; name a file");
  ::close(fd);
}

TEST_CASE("a pipe that nobody writes into and one whose writer is silent end the wait, one with bytes is read") {
  const temporary_folder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(read(folder / "pipe").error == "is a pipe that nobody writes into; name a file");

  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const auto reading = "/proc/self/fd/" + std::to_string(ends[0]);
  CHECK(contains(read(reading).error, "gave nothing to read for 20 ms"));
  REQUIRE(::write(ends[1], "kind: site", 10) == 10);
  ::close(ends[1]);
  CHECK(read(reading).text == "kind: site");
  ::close(ends[0]);
}

TEST_CASE("a file in UTF-16 is called that, of either byte order") {
  for (const auto& text : {std::string("\xFF\xFEk\0i\0", 6), std::string("\xFE\xFF\0k\0i", 6)}) {
    const auto problems = read_documents(text, "x.yaml").problems;
    REQUIRE(problems.size() == 1);
    CHECK(problem_text(problems[0]) == "x.yaml:1:1: the file is UTF-16; save it as UTF-8");
  }
}
