#include "actors/logs/logs_actor.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <vector>

#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/response_promise.hpp>
#include <caf/result.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/api/api_call.hpp"
#include "actors/api/api_requests.hpp"
#include "actors/instance/driver_error.hpp"
#include "actors/logs/log_reading.hpp"
#include "actors/names.hpp"
#include "config/json.hpp"
#include "runtime/exit_reason.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;

struct look_at_logs {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(look_at_logs, unused)
};

/// Changes when something is written to the log at `path`, or it is rotated.
std::pair<std::uint64_t, std::int64_t> size_of_log(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    return {};
  return {info.st_ino, info.st_size};
}

bool has_news(const logs_read& read) {
  return std::any_of(read.pages.begin(), read.pages.end(),
                     [](const log_page& x) { return !x.entries.empty() || x.has_gap || x.has_more; });
}

struct logs_state;
using logs_self = caf::stateful_actor<logs_state, runtime::supervised_actor>;

struct logs_state {
  static inline const char* name = "logs";

  explicit logs_state(logs_self* self) : self_(self) {}

  caf::behavior start(logs_actor_options options) {
    options_ = std::move(options);
    return {
      [this](read_logs& x) { return on_read(std::move(x)); },
      [this](const look_at_logs&) { on_look(); },
      [this](api_call& x) { on_call(x); },
    };
  }

private:
  // -- this host's logs ----------------------------------------------------------------------------------------------

  struct waiting_reader {
    read_logs request; ///< every query has its position
    caf::response_promise promise;
    runtime::instant until;
    std::vector<std::pair<std::uint64_t, std::int64_t>> sizes;
  };

  caf::result<logs_read> on_read(read_logs x) {
    if (x.queries.size() > max_log_queries || x.queries.empty())
      return to_error({driver_errc::invalid_request, "one request reads 1 to " + std::to_string(max_log_queries) + " logs"});
    for (const auto& query : x.queries) // it becomes part of a path
      if (parse_instance_name(query.container.substr(0, query.container.rfind('.'))).replica == 0
          || query.container.find('/') != std::string::npos)
        return to_error({driver_errc::invalid_request, "`" + query.container.substr(0, 100) + "` is not the name of a container"});
    if (!options_.log_path)
      return to_error({driver_errc::no_driver, options_.host + " keeps no logs"});
    auto read = read_pages(x);
    if (has_news(read) || x.wait_ms == 0)
      return read;
    if (waiting_.size() >= options_.max_waiting)
      return to_error({driver_errc::too_many, std::to_string(waiting_.size()) + " readers wait for logs of " + options_.host
                                                + ", as many as it takes"});
    const auto wait = milliseconds{std::min(x.wait_ms, max_log_wait_ms)};
    waiting_.push_back({std::move(x), self_->make_response_promise(), self_->clock().now() + wait, {}});
    waiting_.back().sizes = sizes_of(waiting_.back().request);
    if (waiting_.size() == 1)
      self_->delayed_send(self_, options_.look_every, look_at_logs{});
    return caf::delegated<logs_read>{};
  }

  /// Leaves every query with the position that its page began at.
  logs_read read_pages(read_logs& x) const {
    const auto bytes = std::min(x.max_bytes, max_log_bytes) / x.queries.size();
    std::size_t for_long_lines = max_log_bytes; // beyond their pages' share
    logs_read read;
    for (auto& query : x.queries) {
      const auto path = options_.log_path(query.container);
      if (!query.has_position) {
        log_start start;
        if (query.tail >= 0)
          start.tail = static_cast<std::uint32_t>(query.tail);
        if (query.since_ms >= 0)
          start.since_ms = query.since_ms;
        query.from = find_log_start(path, start);
        query.has_position = true;
      }
      read.pages.push_back(read_log_page(path, query.from, bytes, std::min(longest_log_line, bytes + for_long_lines)));
      const auto taken = static_cast<std::size_t>(read.pages.back().next.offset - read.pages.back().begin.offset);
      if (read.pages.back().next.file == read.pages.back().begin.file && taken > bytes)
        for_long_lines -= std::min(for_long_lines, taken - bytes);
    }
    return read;
  }

  std::vector<std::pair<std::uint64_t, std::int64_t>> sizes_of(const read_logs& x) const {
    std::vector<std::pair<std::uint64_t, std::int64_t>> sizes;
    for (const auto& query : x.queries)
      sizes.push_back(size_of_log(options_.log_path(query.container)));
    return sizes;
  }

  void on_look() {
    for (auto& reader : std::exchange(waiting_, {}))
      if (!look(reader))
        waiting_.push_back(std::move(reader));
    if (!waiting_.empty())
      self_->delayed_send(self_, options_.look_every, look_at_logs{});
  }

  /// True if it was answered.
  bool look(waiting_reader& reader) const {
    const bool is_over = self_->clock().now() >= reader.until;
    auto sizes = sizes_of(reader.request);
    if (sizes == reader.sizes && !is_over)
      return false;
    reader.sizes = std::move(sizes);
    auto read = read_pages(reader.request);
    if (!has_news(read) && !is_over)
      return false;
    reader.promise.deliver(std::move(read));
    return true;
  }

  // -- the site's, for the API -----------------------------------------------------------------------------------------

  /// One request of a client. Copies of the pointer are held by what it waits for.
  struct call {
    logs_request request;
    log_targets found;
    net::http_responder respond;
    runtime::instant until; ///< for news
    std::map<std::string, std::string> unreachable; ///< hosts, with what is said of them
    std::vector<read_log> logs;
    std::size_t asked = 0;     ///< hosts that have not answered
    bool is_woken = false;     ///< a host that was to wait has news
  };
  using call_pointer = std::shared_ptr<call>;

  void on_call(api_call& asked) {
    if (const auto problem = refuse_request(asked.route, asked.request))
      return void(asked.respond(problem_response(*problem)));
    auto request = parse_logs_request(asked.request.query);
    if (const auto* problem = std::get_if<problem_view>(&request))
      return void(asked.respond(problem_response(*problem)));
    auto targets = find_log_targets(*options_.state->get(), std::get<logs_request>(request));
    if (const auto* problem = std::get_if<problem_view>(&targets))
      return void(asked.respond(problem_response(*problem)));
    const auto x = std::make_shared<call>(call{std::get<logs_request>(std::move(request)),
                                               std::get<log_targets>(std::move(targets)), asked.respond, {}, {}, {}});
    x->until = self_->clock().now() + x->request.wait;
    read_all(x);
  }

  std::map<std::string, std::vector<log_target>> by_host(const call& x) const {
    std::map<std::string, std::vector<log_target>> hosts;
    for (const auto& target : x.found.targets)
      hosts[target.host].push_back(target);
    return hosts;
  }

  /// Asks the hosts for pages; `on_read` and `on_failed` are told of each.
  template <class OnRead, class OnFailed>
  void ask(const std::string& host, const std::vector<log_target>& targets, const call& x, milliseconds wait, OnRead on_read,
           OnFailed on_failed) {
    read_logs request;
    for (const auto& target : targets)
      request.queries.push_back(query_for(target, x.request, options_.clock()));
    request.wait_ms = static_cast<std::uint32_t>(wait.count());
    request.max_bytes = max_log_bytes / static_cast<std::uint32_t>(by_host(x).size());
    const auto there = options_.actor_on(host, "logs");
    if (!there)
      return on_failed("it is starting");
    self_->request(there, options_.host_timeout + wait, std::move(request))
      .then([on_read](logs_read& read) { on_read(read); },
            [on_failed](const caf::error& why) { on_failed(runtime::reason_text(why)); });
  }

  /// What there is, of all hosts.
  void read_all(const call_pointer& x) {
    const auto hosts = by_host(*x);
    x->asked = hosts.size();
    x->logs.clear();
    x->unreachable.clear();
    const auto one_less = [this, x] {
      if (--x->asked == 0)
        on_all_read(x);
    };
    if (hosts.empty())
      return answer(x, {});
    for (const auto& [host, targets] : hosts)
      ask(host, targets, *x, milliseconds{0},
          [x, targets = targets, one_less](logs_read& read) {
            for (std::size_t i = 0; i < std::min(read.pages.size(), targets.size()); ++i)
              x->logs.push_back({targets[i], std::move(read.pages[i])});
            one_less();
          },
          [this, x, host = host, one_less](const std::string& why) {
            x->unreachable[host] = unread_note(*options_.state->get(), host, why, x->request.all_hosts);
            one_less();
          });
  }

  void on_all_read(const call_pointer& x) {
    std::vector<std::string> gone;
    for (const auto& log : x->logs) {
      if (log.page.has_gap)
        gone.push_back("lines of " + log_name(log.target) + " are gone: its log was rotated");
      if (!log.target.is_one_of_many && has_moved(log.target, x->request, options_.clock())
          && was_followed_elsewhere(log.target, x->request, *options_.state->get()))
        gone.push_back(log_name(log.target) + " is on " + log.target.host + " now; all-hosts shows what it printed elsewhere");
      if (log.page.damaged > 0)
        gone.push_back(std::to_string(log.page.damaged) + " damaged lines of " + log_name(log.target) + " are left out");
    }
    std::sort(x->logs.begin(), x->logs.end(), [](const auto& a, const auto& b) { return log_name(a.target) < log_name(b.target); });
    auto merged = merge_logs(std::move(x->logs), x->request.after);
    const auto left = std::chrono::ceil<milliseconds>(x->until - self_->clock().now());
    if (merged.lines.empty() && gone.empty() && !merged.has_more && x->unreachable.empty() && left.count() > 0)
      return wait_for_news(x, left);
    answer(x, std::move(merged), gone);
  }

  void wait_for_news(const call_pointer& x, milliseconds wait) {
    const auto hosts = by_host(*x);
    x->asked = hosts.size();
    x->is_woken = false;
    for (const auto& [host, targets] : hosts) {
      const auto wake = [this, x](bool has_something) {
        const bool is_last = --x->asked == 0;
        if (!x->is_woken && (has_something || is_last)) {
          x->is_woken = true;
          read_again(x);
        }
      };
      ask(host, targets, *x, wait, [wake](const logs_read& read) { wake(has_news(read)); },
          [wake](const std::string&) { wake(true); });
    }
  }

  /// In a call of its own: what the last one still waits for counts no more.
  void read_again(const call_pointer& x) {
    const auto next = std::make_shared<call>(*x);
    next->until = self_->clock().now(); // whatever there is now is the answer
    read_all(next);
  }

  void answer(const call_pointer& x, merged_logs merged, const std::vector<std::string>& gone = {}) {
    logs_view view;
    view.lines = std::move(merged.lines);
    for (const auto& target : x->found.targets)
      view.containers.push_back(log_name(target));
    if (x->request.after.size() > max_log_targets) { // who moved often has been on many hosts
      std::map<std::uint32_t, log_position> present;
      for (const auto& target : x->found.targets)
        if (const auto known = x->request.after.find(log_key(target)); known != x->request.after.end())
          present.insert(*known);
      x->request.after = std::move(present);
    }
    view.next = cursor_text(x->request.after);
    view.more = merged.has_more;
    view.notes = x->found.notes;
    for (const auto& [host, note] : x->unreachable) {
      view.unread.push_back(host);
      view.notes.push_back(note);
    }
    view.notes.insert(view.notes.end(), gone.begin(), gone.end());
    x->respond(json_response(config::json_text(config::to_json(view))));
  }

  logs_self* self_;
  logs_actor_options options_;
  std::vector<waiting_reader> waiting_;
};

} // namespace

caf::actor spawn_logs(caf::local_actor* parent, logs_actor_options options) {
  const auto start = [](logs_self* self, logs_actor_options x) { return self->state.start(std::move(x)); };
  return options.detached ? parent->spawn<caf::detached>(start, std::move(options)) : parent->spawn(start, std::move(options));
}

} // namespace prunella::actors
