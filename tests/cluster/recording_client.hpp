#pragma once

// A client that writes all the while, and keeps its own record of what it was told; at the end the record is held against
// what the site has.

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/cluster/site_processes.hpp"

namespace prunella::tests {

/// What a client knows of an application that it applied or deleted.
enum class known {
  there,  ///< the apply was acknowledged
  gone,   ///< the delete was acknowledged
  never,  ///< the apply was refused, and the answer says that nothing was changed
  unsure, ///< no answer, or one that says that it may yet happen
};

/// Applies and deletes applications without instances, and applies one application in ever newer versions, one request
/// after the other, at whichever host answers. Runs in a thread of its own until it is stopped, so it asserts nothing
/// before `check`.
class recording_client {
public:
  explicit recording_client(std::vector<api_endpoint> endpoints);
  ~recording_client() { stop(); }
  recording_client(const recording_client&) = delete;
  recording_client& operator=(const recording_client&) = delete;

  /// From the next request on; the first that takes a connection gets it.
  void set_endpoints(std::vector<api_endpoint> endpoints);
  void stop();

  int acknowledged() const { return acknowledged_; }
  int refused() const { return refused_; }
  int unsure() const { return unsure_; }
  /// What the unsure ones were answered, and how often; after `stop`.
  std::string why_unsure() const;
  std::chrono::milliseconds longest() const { return std::chrono::milliseconds{longest_ms_.load()}; }

  /// Stops, and requires that each of `hosts` has what was acknowledged and nothing that was refused, of its own copy of
  /// the state. They have to be in agreement.
  void check(const site_processes& site, const std::vector<std::string>& hosts);

private:
  enum class told { yes, no, nothing };

  void run();
  told change(const std::string& name, const char* method, const std::string& body);
  void apply_and_delete(int number);
  void apply_next_version(int number);

  std::mutex mutex_;
  std::vector<api_endpoint> endpoints_;
  std::map<std::string, known> record_;
  std::map<std::string, int> unsure_answers_;
  std::vector<int> maybe_versions_; ///< of the versioned application: the last acknowledged, and all unsure since
  std::atomic<bool> stopping_{false};
  std::atomic<int> acknowledged_{0};
  std::atomic<int> refused_{0};
  std::atomic<int> unsure_{0};
  std::atomic<std::int64_t> longest_ms_{0};
  std::thread thread_; // last: it uses all of the above
};

} // namespace prunella::tests
