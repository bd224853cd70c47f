#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <sys/mount.h>

namespace prunella::tests {

/// A file system in memory of `size` ("12m") at `path`, unmounted at the end of the test. Needs root: without, the test
/// prints why it is skipped, and `mounted` is false.
class small_disk {
public:
  small_disk(std::string path, const std::string& size) : path_(std::move(path)) {
    std::filesystem::create_directories(path_);
    mounted_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
    if (!mounted_)
      MESSAGE("SKIPPED: mounting a small file system needs root: ", std::strerror(errno));
  }
  small_disk(const small_disk&) = delete;
  small_disk& operator=(const small_disk&) = delete;
  ~small_disk() {
    if (mounted_)
      ::umount2(path_.c_str(), MNT_DETACH);
  }

  bool mounted() const { return mounted_; }
  const std::string& path() const { return path_; }

private:
  std::string path_;
  bool mounted_ = false;
};

} // namespace prunella::tests
