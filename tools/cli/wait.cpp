#include "tools/cli/wait.hpp"

#include <algorithm>
#include <chrono>
#include <ostream>
#include <set>
#include <utility>

#include "config/json.hpp"
#include "config/time.hpp"
#include "net/http_router.hpp"
#include "tools/cli/verbs.hpp"
#include "tools/cli/views.hpp"

namespace prunella::tools {

namespace {

using namespace std::chrono_literals;

constexpr auto look_interval = 250ms;
constexpr int settled_looks = 5;

enum class outcome { waiting, running, failed };

/// What one look at an application found; `error` is what kept it from being seen.
struct look {
  progress seen;
  bool is_other = false; ///< deleted, or changed after it was applied
  std::string error;
};

/// Follows one application; called once per look until it is no longer `waiting`.
class follower {
public:
  follower(applied_application which, const connection_options& connection, terminal& io)
      : which_(std::move(which)), connection_(connection), io_(&io) {}

  outcome look_again() {
    const auto now = take_look();
    last_ = now.error.empty() ? now.seen.text : now.error;
    if (!now.error.empty())
      return outcome::waiting; // a host that restarts, or a site that elects: it may be back at the next look
    is_other_ = now.is_other;
    if (is_other_)
      return outcome::failed;
    // What crashes goes back and forth between the same few sentences: each is news once.
    if (told_.insert(now.seen.text).second)
      io_->err << which_.name << ": " << printable(now.seen.text) << '\n' << std::flush;
    if (!now.seen.culprit.empty()) {
      culprit_ = now.seen.culprit;
      trouble_ = now.seen.text;
    } else if (!trouble_.empty() && now.seen.is_running) {
      last_ = trouble_ + " (it runs at this moment, and is started again and again)";
    }
    has_finished_ = now.seen.has_finished;
    const bool is_same_start = std::exchange(starts_, now.seen.starts) == now.seen.starts;
    good_looks_ = !now.seen.is_running ? 0 : is_same_start ? good_looks_ + 1 : 1;
    return now.seen.has_failed            ? outcome::failed
           : good_looks_ >= settled_looks ? outcome::running
                                          : outcome::waiting;
  }

  /// Says on which hosts a published port of it is not answered: its instances run all the same.
  void tell_ports() const {
    std::vector<actors::published_view> services;
    std::string ignored; // then `prunella get services` says it
    if (!read("/v1/services", services, ignored))
      return;
    for (const auto& service : services)
      if (service.service.rfind(which_.name + '.', 0) == 0)
        for (const auto& problem : service.problems)
          io_->err << printable("prunella: " + service.service + " does not answer on its published port everywhere: " + problem) << '\n';
  }

  const std::string& name() const { return which_.name; }
  const std::string& last() const { return last_; }
  /// The instance that was in the way last.
  const std::string& culprit() const { return culprit_; }
  /// All that it had to do is done.
  bool has_finished() const { return has_finished_; }
  /// Somebody, or the site, changed or deleted it meanwhile.
  bool is_other() const { return is_other_; }

private:
  look take_look() const {
    const auto query = "?application=" + net::percent_encode(which_.name);
    std::vector<actors::application_view> applications;
    std::vector<actors::instance_view> instances;
    look result;
    if (!read("/v1/applications" + query, applications, result.error) ||
        !read("/v1/instances" + query, instances, result.error))
      return result;
    if (applications.empty() || applications.front().applied_revision > which_.revision) {
      result.is_other = true;
      result.seen.text = applications.empty() ? "it was deleted meanwhile" : "it was changed meanwhile";
      if (!applications.empty() && !applications.front().reason.empty())
        result.seen.text += ": " + applications.front().reason;
    } else if (applications.front().revision < which_.revision) {
      result.error = "the host that answers does not know of the change yet";
    } else {
      result.seen = progress_of(applications.front(), instances);
    }
    return result;
  }

  template <class Rows>
  bool read(const std::string& target, Rows& rows, std::string& error) const {
    const auto got = get_all(connection_, target);
    error = got.error;
    if (error.empty())
      for (const auto& problem : config::from_json(got.value, rows))
        error = "the answer to GET " + target + " is not understood: " + problem;
    error.erase(error.find_last_not_of('\n') + 1);
    return error.empty();
  }

  applied_application which_;
  connection_options connection_;
  terminal* io_;
  int good_looks_ = 0; ///< in a row
  std::uint64_t starts_ = 0;
  std::set<std::string> told_;
  std::string last_;
  std::string trouble_; ///< the last progress with something in the way
  std::string culprit_;
  bool is_other_ = false;
  bool has_finished_ = false;
};

int refuse(const follower& application, const std::string& what, terminal& io) {
  io.err << "prunella: " << application.name() << ' ' << what << "\n  cause: " << printable(application.last())
         << "\n  fix: " << (application.is_other() ? "" : "it stays applied; ");
  if (!application.culprit().empty() && !application.is_other())
    io.err << "`prunella logs " << application.culprit() << "` shows what it printed, ";
  io.err << "`prunella get instances -a " << application.name() << "` and `prunella get events` show how it goes on\n";
  return exit_failed;
}

} // namespace

progress progress_of(const actors::application_view& application,
                     const std::vector<actors::instance_view>& instances) {
  progress result;
  std::uint32_t wanted = 0;
  std::uint32_t running = 0;
  std::uint32_t finished = 0;
  for (const auto& service : application.services) {
    wanted += service.replicas;
    running += service.running;
    finished += service.finished;
  }
  result.text = std::to_string(running) + " of " + std::to_string(wanted) + " running"
                + (finished == 0 ? "" : ", " + std::to_string(finished) + " finished");
  const actors::instance_view* worst = nullptr;
  for (const auto& x : instances) {
    result.has_failed |= x.state == "failed";
    result.starts += x.generation + x.restarts;
    const bool is_late = !x.ready && x.state != "stopping" && x.state != "finished";
    if (is_late && (!worst || (x.state == "failed" && worst->state != "failed")))
      worst = &x;
  }
  result.has_failed |= application.update == "paused";
  result.is_updating = application.update == "running" || application.update == "paused";
  result.has_finished = running == 0 && finished > 0;
  result.is_running = running + finished >= wanted && !worst && application.update != "running";
  if (worst)
    result.culprit = worst->name;
  if (result.is_updating && !application.reason.empty())
    result.text += "; " + application.reason;
  else if (worst)
    result.text += "; " + worst->name + " is " + worst->state + (worst->reason.empty() ? "" : ": " + worst->reason);
  return result;
}

int wait_until_running(const std::vector<applied_application>& applications, const apply_options& options,
                       terminal& io) {
  const auto deadline = std::chrono::steady_clock::now() + options.wait_limit;
  auto quick = options.connection;
  const std::chrono::milliseconds least = 1s; // an answer needs its time
  quick.timeout = std::clamp(options.wait_limit, least, std::max(least, quick.timeout));
  std::vector<follower> waiting;
  for (const auto& application : applications)
    waiting.emplace_back(application, quick, io);
  while (!waiting.empty()) {
    std::vector<follower> rest;
    for (auto& application : waiting) {
      const auto found = application.look_again();
      if (found == outcome::failed)
        return refuse(application, "does not run", io);
      if (found == outcome::running) {
        io.out << "application " << application.name() << (application.has_finished() ? " has finished\n" : " runs\n") << std::flush;
        application.tell_ports();
      } else {
        rest.push_back(std::move(application));
      }
    }
    waiting = std::move(rest);
    if (waiting.empty())
      break;
    if (std::chrono::steady_clock::now() >= deadline)
      return refuse(waiting.front(), "does not run after " + config::duration_text(options.wait_limit), io);
    if (!io.next_look(look_interval))
      return refuse(waiting.front(), "is not waited for any longer", io);
  }
  return exit_ok;
}

} // namespace prunella::tools
