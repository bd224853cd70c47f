#pragma once

// Asks whether something on this machine answers: HTTP and TCP, many at once, in one thread of its own. Every question has a
// timeout and every answer is bounded; nothing is kept between two questions.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace prunella::net {

struct probe_question {
  /// Numeric ADDRESS:PORT; each is tried while the one before refuses.
  std::vector<std::string> addresses;
  bool is_http = false;     ///< false: it is enough that the connection is taken
  std::string path = "/";
  std::string host;         ///< header `Host`; empty: the address
  std::map<std::string, std::string> headers;
  unsigned expect_min = 200; ///< status
  unsigned expect_max = 399;
  std::chrono::milliseconds timeout{1'000}; ///< for all of it
};

struct probe_finding {
  bool is_good = false;
  std::string problem; ///< why not, without a time: "127.0.0.1:80/ answered 503, not 200-399"
  std::chrono::milliseconds took{0};
};

struct prober_core;

/// Any thread.
class prober {
public:
  prober();
  /// Questions that are open are not answered any more.
  ~prober();
  prober(const prober&) = delete;
  prober& operator=(const prober&) = delete;

  /// Calls `done` once, in the prober's thread.
  void ask(probe_question question, std::function<void(const probe_finding&)> done);

private:
  std::unique_ptr<prober_core> core_;
};

} // namespace prunella::net
