#pragma once

// A load generator for HTTP/1.1 on loopback: as little work per request as possible, so that the server is what is
// measured on a machine of few cores.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace prunella::bench {

struct http_load_options {
  std::uint16_t port = 0; ///< of 127.0.0.1
  std::string target = "/status";
  std::string token; ///< shown with each request; empty: none
  int connections = 32; ///< each keeps one request under way, on one connection
  std::chrono::duration<double> length{1};
};

struct http_load_result {
  double requests_per_second = 0;
  std::vector<double> latencies_us; ///< of each answered request
};

/// Runs in the calling thread. Ends the program with a sentence if an answer is not 200 or a connection ends.
http_load_result run_http_load(const http_load_options& options);

} // namespace prunella::bench
