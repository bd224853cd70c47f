#include "tools/agent/site_up.hpp"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <ostream>

#include "net/identity.hpp"
#include "storage/data_dir.hpp"
#include "tools/agent/site_file.hpp"

extern char** environ;

namespace prunella::tools {

namespace {

namespace fs = std::filesystem;

struct agent_process {
  std::string host;
  std::string api;
  pid_t pid = 0; ///< 0: has ended
};

fs::path default_data_dir(const std::string& site) {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state != '\0')
    return fs::path{state} / "prunella" / site;
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return fs::path{home} / ".local" / "state" / "prunella" / site;
  return fs::path{"prunella-data"} / site;
}

/// Each host gets its keys in its own data directory, as if they had been copied to its machine.
void hand_out_identities(const config::site_spec& site, const fs::path& data_dir) {
  const auto authority = data_dir / "authority";
  if (!fs::exists(authority)) {
    std::vector<std::string> hosts;
    for (const auto& host : site.hosts)
      hosts.push_back(host.id);
    net::create_site_identity(authority, site.name, hosts);
  }
  for (const auto& host : site.hosts) {
    const auto own = data_dir / host.id / storage::tls_folder;
    if (fs::exists(own))
      continue;
    if (!fs::exists(net::host_identity_dir(authority, host.id)))
      net::add_host_identity(authority, host.id);
    fs::create_directories(data_dir / host.id);
    fs::copy(net::host_identity_dir(authority, host.id), own, fs::copy_options::recursive);
    fs::permissions(own, fs::perms::owner_all);
    fs::permissions(own / "host.key", fs::perms::owner_read | fs::perms::owner_write);
  }
}

/// Starts `words` (the program's own file and its arguments) with the signals of a fresh process.
pid_t start_process(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const auto& word : words)
    argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  // An own process group: an interrupt typed at the terminal reaches only this process, which ends the others in order.
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  pid_t pid = 0;
  const int failed = posix_spawn(&pid, argv[0], nullptr, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  errno = failed;
  return failed == 0 ? pid : 0;
}

class site_runner {
public:
  site_runner(std::vector<agent_process> agents, std::ostream& out) : agents_(std::move(agents)), out_(out) {}

  /// Until an interrupt and the end of all agents. 0 if the user ended it.
  int run(int signals) {
    while (any_alive()) {
      pollfd wait{signals, POLLIN, 0};
      poll(&wait, 1, 1'000);
      signalfd_siginfo info{};
      while (read(signals, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info)))
        if (info.ssi_signo != SIGCHLD)
          on_interrupt();
      reap();
    }
    out_ << "all hosts have ended\n" << std::flush;
    return interrupts_ > 0 ? 0 : 1;
  }

private:
  bool any_alive() const {
    for (const auto& agent : agents_)
      if (agent.pid != 0)
        return true;
    return false;
  }

  void on_interrupt() {
    ++interrupts_;
    out_ << (interrupts_ == 1 ? "stopping the hosts and what runs on them; once more to kill them\n" : "killing the hosts; what runs on them goes on\n")
         << std::flush;
    for (const auto& agent : agents_)
      if (agent.pid != 0)
        kill(agent.pid, interrupts_ == 1 ? SIGTERM : SIGKILL);
  }

  void reap() {
    for (auto& agent : agents_) {
      int status = 0;
      if (agent.pid == 0 || waitpid(agent.pid, &status, WNOHANG) != agent.pid)
        continue;
      agent.pid = 0;
      if (interrupts_ > 0)
        continue;
      out_ << agent.host << (WIFSIGNALED(status) ? " was killed by signal " : " ended with code ")
           << (WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)) << '\n'
           << std::flush;
    }
  }

  std::vector<agent_process> agents_;
  std::ostream& out_;
  int interrupts_ = 0;
};

int watch_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGCHLD})
    sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

} // namespace

int run_site_up(const site_up_options& options, std::ostream& out, std::ostream& err) {
  const auto site = read_site_file(options.file, err);
  if (!site)
    return 1;
  if (options.api_port + site->hosts.size() > 65'536) {
    err << "prunella: " << site->hosts.size() << " hosts need as many API ports, and above " << options.api_port
        << " there are not enough. Choose a lower --api-port, or 0 for free ones.\n";
    return 1;
  }
  std::error_code failed;
  const auto site_file = fs::absolute(options.file);
  const auto data_dir = fs::absolute(options.data_dir.empty() ? default_data_dir(site->name) : fs::path{options.data_dir});
  fs::create_directories(data_dir, failed);
  if (failed) {
    err << "prunella: cannot make the data directory " << data_dir.string() << ": " << failed.message()
        << ". Choose another with --data-dir.\n";
    return 1;
  }
  try {
    hand_out_identities(*site, data_dir);
  } catch (const std::exception& error) {
    err << "prunella: " << error.what() << '\n';
    return 1;
  }
  const auto program = fs::read_symlink("/proc/self/exe").string();
  const int signals = watch_signals();
  out << "site " << site->name << ", data in " << data_dir.string() << '\n';
  std::vector<agent_process> agents;
  std::uint16_t port = options.api_port;
  for (const auto& host : site->hosts) {
    agent_process agent{host.id, "127.0.0.1:" + std::to_string(port), 0};
    std::vector<std::string> words{program, "host", "run", "--site", site_file.string(), "--host-id", host.id, "--data-dir",
                                   (data_dir / host.id).string(), "--api", agent.api, "--on-exit", "stop"};
    for (const auto& registry : options.insecure_registries)
      words.insert(words.end(), {"--insecure-registry", registry});
    agent.pid = start_process(words);
    if (agent.pid == 0)
      err << "prunella: cannot start the agent of " << host.id << ": " << std::strerror(errno) << '\n';
    else
      out << "  " << host.id << "  pid " << agent.pid << "  http://" << agent.api << '\n';
    agents.push_back(std::move(agent));
    port = static_cast<std::uint16_t>(port == 0 ? 0 : port + 1);
  }
  out << "Interrupt (Ctrl-C) stops the site and what runs on it.\n" << std::flush;
  site_runner runner{std::move(agents), out};
  const int result = runner.run(signals);
  close(signals);
  return result;
}

} // namespace prunella::tools
