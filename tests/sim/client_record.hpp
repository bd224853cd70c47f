#pragma once

// What a client of a site may rely on: which contents each application can have, given what was asked and what was answered.
// An acknowledged request counts at once and for good; one without a clear answer may take effect, or not, also a little
// later. One request per application at a time.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/site/site_state.hpp"

namespace prunella::tests {

/// Of an application what the requests of a client change.
struct application_content {
  std::string version;
  std::map<std::string, std::uint32_t> replicas; ///< by service

  bool operator<(const application_content& x) const {
    return version != x.version ? version < x.version : replicas < x.replicas;
  }
};

using maybe_content = std::optional<application_content>; ///< nothing: there is no such application
using content_change = std::function<maybe_content(const maybe_content&)>;

class client_record {
public:
  using time = std::chrono::milliseconds; ///< virtual, since the start

  /// Whether a request about `application` is unanswered.
  bool is_waiting(const std::string& application) const;

  void asked(const std::string& application, content_change change);

  /// `status` of the HTTP answer: 2xx acknowledged, 4xx refused, everything else unclear, unless `body` says that nothing was
  /// changed.
  void answered(const std::string& application, unsigned status, time now, const std::string& body = {});

  /// Empty if each application of `state` is as it may be; otherwise a sentence.
  std::string judge(const actors::site_state& state) const;

  std::uint64_t acknowledged() const { return acknowledged_; }
  std::uint64_t refused() const { return refused_; }
  std::uint64_t unclear() const { return unclear_; }

  /// How long after its answer an unclear request may still take effect: what waits in a link, a site actor or a log is
  /// given up before that.
  static constexpr time late_effect{15'000};

private:
  struct late_change {
    content_change change;
    time until{0};
  };
  struct entry {
    std::set<maybe_content> possible{std::nullopt};
    content_change asked; ///< empty: no request is unanswered
    std::vector<late_change> late;
    std::set<std::string> versions; ///< that it had, ever: the site itself may go back to one that ran
  };

  static std::set<maybe_content> with_late(const entry& x, std::set<maybe_content> possible);
  static bool went_back(const entry& x, const actors::application_record& record, const std::set<maybe_content>& possible);

  std::map<std::string, entry> applications_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t unclear_ = 0;
};

} // namespace prunella::tests
