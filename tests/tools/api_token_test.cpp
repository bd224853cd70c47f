// The secret of the API on the disk.

#include <doctest/doctest.h>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "tests/storage/temporary_folder.hpp"
#include "tools/cli/api_token.hpp"

using namespace prunella::tools;
using prunella::tests::temporary_folder;

TEST_CASE("the first agent makes the secret, for its user alone, the next takes the same, and a client finds it") {
  const temporary_folder folder;
  const auto path = folder / "state/prunella/api-token";
  CHECK(find_api_token(path).empty());
  const auto made = make_api_token(path);
  CHECK(made.size() == 64);
  CHECK(make_api_token(path) == made);
  CHECK(find_api_token(path) == made);
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  std::filesystem::remove(path);
  CHECK(make_api_token(path) != made);
  const auto files = std::filesystem::directory_iterator(folder / "state/prunella");
  CHECK(std::distance(begin(files), end(files)) == 1);
}

TEST_CASE("a secret that others can read, a link, a shorter text and a folder that cannot be made are refused with the path") {
  const temporary_folder folder;
  const auto path = folder / "api-token";
  const auto refused = [](const std::string& at) {
    try {
      make_api_token(at);
    } catch (const std::runtime_error& error) {
      return std::string{error.what()}.find(at) != std::string::npos;
    }
    return false;
  };
  make_api_token(path);
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  CHECK(refused(path));
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  CHECK_FALSE(refused(path));
  std::filesystem::create_symlink(path, folder / "link");
  CHECK(refused(folder / "link"));
  std::ofstream{path, std::ios::trunc} << "5ec3e7";
  CHECK(refused(path));
  CHECK(find_api_token(path).empty());
  CHECK(refused(folder / "api-token/below-a-file"));
}
