#include "tools/agent/host_run.hpp"

#include <signal.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <memory>
#include <ostream>
#include <thread>

#include "actors/host/address_guard.hpp"
#include "actors/host/agent.hpp"
#include "actors/instance/engine/engine_command.hpp"
#include "net/identity.hpp"
#include "runtime/first_cause.hpp"
#include "storage/data_dir.hpp"
#include "tools/agent/agent_log.hpp"
#include "tools/agent/site_file.hpp"
#include "tools/cli/api_token.hpp"

namespace prunella::tools {

namespace {

namespace fs = std::filesystem;

actors::agent_options options_of(const host_run_options& options, config::site_spec site) {
  actors::agent_options result;
  result.site = std::move(site);
  result.host = options.host_id;
  result.data_dir = fs::absolute(options.data_dir).string();
  result.identity_dir = (fs::path{result.data_dir} / storage::tls_folder).string();
  result.api = options.api;
  result.api_token = make_api_token(api_token_path());
  result.version = PRUNELLA_VERSION;
  // This very program, also when its file was replaced meanwhile.
  const auto self = "/proc/" + std::to_string(getpid()) + "/exe";
  result.engine_helper = {self, actors::engine_command_word};
  result.address_guard = {self, actors::address_guard_word};
  const auto absolute = [](const std::string& path) { return path.empty() ? path : fs::absolute(path).string(); };
  result.registries.auth_file = absolute(options.registry_auth);
  result.registries.certificates = absolute(options.registry_certs);
  result.registries.insecure = options.insecure_registries;
  return result;
}

/// Waits for the end of `agent` or the first signal in `set`; returns the signal, 0 if there was none. All threads of the
/// process have `set` blocked.
int wait_for_end(actors::agent& agent, const sigset_t& set) {
  int number = 0;
  std::thread waiter{[&] {
    agent.wait();
    kill(getpid(), SIGUSR1); // wakes the sigwait below
  }};
  while (sigwait(&set, &number) != 0) {
  }
  const bool interrupted = number != SIGUSR1;
  agent.interrupt();
  waiter.join();
  return interrupted ? number : 0;
}

/// Where its disk is full, as soon as there is room: what runs on this host goes on meanwhile, and who restarts agents that end would
/// give up some day. Nothing: it was told to end by one of `set`.
std::unique_ptr<actors::agent> start_agent(const actors::agent_options& x, const sigset_t& set) {
  std::string told;
  for (;;) {
    try {
      return std::make_unique<actors::agent>(x);
    } catch (const actors::no_room& why) {
      if (told != why.what())
        x.log(actors::log_level::warning, std::string{"waits for room on its disk, and what runs here goes on: "} + why.what());
      told = why.what();
    }
    timespec pause{1, 0};
    if (sigtimedwait(&set, nullptr, &pause) > 0)
      return nullptr;
  }
}

/// What a log of this host begins with.
std::string start_line(const actors::agent_options& x, const std::string& api_url) {
  std::string links;
  for (const auto& host : x.site.hosts)
    if (host.id == x.host)
      links = host.address;
  return "prunella " + x.version + " runs host " + x.host + " of site " + x.site.name + ": data in " + x.data_dir
         + ", links on " + links + ", API on " + api_url;
}

} // namespace

int run_host(const host_run_options& options, std::ostream& out, std::ostream& err) {
  auto site = read_site_file(options.site_file, err);
  if (!site)
    return 1;
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1})
    sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, nullptr); // before any thread is started: all inherit it
  signal(SIGPIPE, SIG_IGN);
  try {
    auto x = options_of(options, std::move(*site));
    x.log = log_to_stderr(x.host);
    const auto agent = start_agent(x, set);
    if (!agent)
      return 0;
    x.log(actors::log_level::info, start_line(x, agent->api_url()));
    out << options.host_id << ": API on " << agent->api_url() << '\n' << std::flush;
    const int number = wait_for_end(*agent, set);
    if (number != 0)
      out << options.host_id << ": ends, "
          << (options.stop_containers ? "stopping what runs on it" : "what runs on it goes on") << '\n'
          << std::flush;
    const auto end = agent->stop(options.stop_containers);
    x.log(end.failed ? actors::log_level::error : actors::log_level::info, "stopped: " + end.reason);
    if (!end.failed)
      return 0;
    const auto cause = runtime::first_cause(end.reason);
    err << "prunella: " << options.host_id << ": " << cause << '\n';
    if (cause != end.reason)
      err << "  which ended the agent: " << end.reason.substr(0, end.reason.size() - cause.size()) << "…\n";
  } catch (const std::exception& error) {
    err << "prunella: " << options.host_id << ": " << error.what() << '\n';
  }
  return 1;
}

} // namespace prunella::tools
