#pragma once

// What benchmarks share: `name value unit` lines, percentiles, and the floor under every durable write: what the disk itself
// takes.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fcntl.h>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace prunella::bench {

using clock_type = std::chrono::steady_clock;

inline double microseconds_since(clock_type::time_point start) {
  return std::chrono::duration<double, std::micro>(clock_type::now() - start).count();
}

/// `p` of 0 … 1; 0 without values.
inline double percentile(std::vector<double> values, double p) {
  if (values.empty())
    return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(p * static_cast<double>(values.size() - 1))];
}

inline double median(std::vector<double> values) {
  return percentile(std::move(values), 0.5);
}

inline void print(const std::string& name, double value, const char* unit) {
  std::printf("%s %.2f %s\n", name.c_str(), value, unit);
  std::fflush(stdout);
}

/// The least a durable append can cost: overwriting part of a file of fixed size, and fdatasync.
class bare_file {
public:
  /// Throws std::runtime_error if `path` cannot be written.
  explicit bare_file(const std::string& path) : path_(path) {
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const std::string zeros(size, '\0');
    if (fd_ < 0 || ::write(fd_, zeros.data(), zeros.size()) != static_cast<ssize_t>(size) || ::fsync(fd_) != 0)
      throw std::runtime_error("cannot write " + path);
  }
  bare_file(const bare_file&) = delete;
  bare_file& operator=(const bare_file&) = delete;
  ~bare_file() { ::close(fd_); }

  /// Microseconds of one write and fdatasync.
  double append(std::size_t bytes) {
    const std::string data(bytes, 'x');
    const auto start = clock_type::now();
    if (::pwrite(fd_, data.data(), bytes, at_) != static_cast<ssize_t>(bytes) || ::fdatasync(fd_) != 0)
      throw std::runtime_error("cannot write " + path_);
    at_ = (at_ + static_cast<off_t>(bytes)) % static_cast<off_t>(size / 2);
    return microseconds_since(start);
  }

private:
  static constexpr std::size_t size = 4u << 20;
  std::string path_;
  int fd_;
  off_t at_ = 0;
};

} // namespace prunella::bench
