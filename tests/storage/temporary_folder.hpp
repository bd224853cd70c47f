#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace prunella::tests {

/// A fresh folder on disk (TMPDIR, else /tmp), removed at the end of the test.
class temporary_folder {
public:
  temporary_folder() {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base == nullptr ? "/tmp" : base) + "/prunella-test-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr)
      throw std::runtime_error("cannot create " + path_);
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

private:
  std::string path_;
};

} // namespace prunella::tests
