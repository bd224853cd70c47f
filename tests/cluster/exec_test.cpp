// Commands in containers of a site of real hosts, run from any of them.

#include <doctest/doctest.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/actors/real_process.hpp"
#include "tests/cluster/site_processes.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

/// `prunella WORDS…` at a pseudo terminal of its own, as a person would have it.
class person {
public:
  person(const std::vector<std::string>& words, unsigned short rows, unsigned short columns) {
    terminal_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    REQUIRE(terminal_ >= 0);
    REQUIRE(::grantpt(terminal_) == 0);
    REQUIRE(::unlockpt(terminal_) == 0);
    resize(rows, columns);
    std::vector<char*> argv{const_cast<char*>("prunella")};
    for (const auto& word : words)
      argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    const std::string path = program_path();
    const std::string name = ::ptsname(terminal_);
    pid_ = ::fork();
    if (pid_ == 0) { // only what is safe between fork and exec
      ::setsid();
      const int slave = ::open(name.c_str(), O_RDWR);
      for (int fd = 0; fd < 3; ++fd)
        ::dup2(slave, fd);
      ::execv(path.c_str(), argv.data());
      ::_exit(127);
    }
  }
  ~person() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(terminal_);
  }
  person(const person&) = delete;
  person& operator=(const person&) = delete;

  void resize(unsigned short rows, unsigned short columns) {
    winsize size{};
    size.ws_row = rows;
    size.ws_col = columns;
    REQUIRE(::ioctl(terminal_, TIOCSWINSZ, &size) == 0);
  }

  void type(const std::string& text) { REQUIRE(::write(terminal_, text.data(), text.size()) == static_cast<ssize_t>(text.size())); }

  /// All that was shown so far.
  const std::string& shown() {
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(terminal_, buffer, sizeof buffer)) > 0;)
      shown_.append(buffer, static_cast<std::size_t>(n));
    return shown_;
  }
  bool sees(const std::string& text) {
    return eventually([&] { return shown().find(text) != std::string::npos; }, 20s);
  }

  int code() {
    int status = 0;
    REQUIRE_MESSAGE(eventually([&] { return shown(), ::waitpid(pid_, &status, WNOHANG) == pid_; }, 20s), shown_);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  void kill() { ::kill(pid_, SIGKILL); }

private:
  int terminal_ = -1;
  pid_t pid_ = 0;
  std::string shown_;
};

/// A site with `shop.main-1` on host-1.
void run_shop(site_processes& site) {
  site.start_all();
  REQUIRE(site.apply(on("host = host-1", simple_application("shop"))).status == 201);
  site.wait_for_running(1);
}

ended_program exec_at(site_processes& site, const std::string& host, std::vector<std::string> words, const std::string& input = {}) {
  words.insert(words.begin(), {"--endpoint", site.url(host), "exec"});
  return run_prunella(words, site.folder(), input);
}

} // namespace

TEST_CASE("a command runs in its container whichever host is asked, and its exit code and output are the command line's") {
  site_processes site;
  run_shop(site);
  for (const auto& host : site.hosts()) {
    INFO(host);
    const auto done = exec_at(site, host, {"shop.main-1", "--", "sh", "-c", "echo $PRUNELLA_HOST -- $0 $1; echo oops >&2; exit 37", "-x", "--help"});
    CHECK(done.code == 37);
    CHECK(done.output.find("host-1 -- -x --help\n") != std::string::npos);
    CHECK(done.output.find("oops\n") != std::string::npos);
  }
  CHECK(exec_at(site, "host-2", {"shop.main-1/one", "--", "sh", "-c", "kill -TERM $$"}).code == 128 + SIGTERM);
  const auto missing = exec_at(site, "host-3", {"shop.main-1", "--", "nosuch"});
  CHECK(missing.code == 1);
  CHECK(missing.output.find("the command `nosuch` was not found") != std::string::npos);
  CHECK(exec_at(site, "host-3", {"shop.main-2", "--", "true"}).output.find("did you mean `shop.main-1`?") != std::string::npos);
  CHECK(exec_at(site, "host-3", {"shop.main-1/two", "--", "true"}).code == 1);
  CHECK(exec_at(site, "host-3", {"shop.main-1"}).code == 2);
  CHECK(exec_at(site, "host-3", {"-t", "shop.main-1", "--", "true"}).output.find("needs a terminal") != std::string::npos);
}

TEST_CASE("a task runs once beside its service whichever host is asked, and nothing is left of it, also when it is interrupted") {
  site_processes site;
  run_shop(site);
  const auto run_at = [&](const std::string& host, std::vector<std::string> words) {
    words.insert(words.begin(), {"--endpoint", site.url(host), "run"});
    return run_prunella(words, site.folder());
  };
  for (const auto& host : site.hosts()) {
    const auto done = run_at(host, {"shop/main", "--", "sh", "-c", "echo $PRUNELLA_INSTANCE on $PRUNELLA_HOST; echo oops >&2; exit 6"});
    CHECK(done.code == 6);
    CHECK(done.output.find("default.shop.main-1 on host-1\n") != std::string::npos);
    CHECK(done.output.find("oops\n") != std::string::npos);
  }
  CHECK(run_at("host-2", {"shop/main", "--", "nosuch"}).output.find("the command `nosuch` was not found") != std::string::npos);
  CHECK(run_at("host-2", {"shop/other", "--", "true"}).code == 1);
  CHECK(run_at("host-2", {"shop/main"}).code == 2);
  program long_one{{"--endpoint", site.url("host-3"), "run", "shop/main", "--", "sleep", "1000"}, site.folder() / "long.log"};
  site.wait_for("the task runs", [&] { return site.containers_of("host-1").size() == 2; });
  long_one.signal(SIGINT);
  CHECK(long_one.wait() == 128 + SIGINT);
  site.wait_for("only the service is left", [&] { return site.containers_of("host-1").size() == 1; });
  CHECK(site.instance("default.shop.main-1").restarts == 0);
  CHECK(site.instances().size() == 1);
}

TEST_CASE("a task reads what is piped into it to its end, whichever host is asked, and one with input ends with its client") {
  site_processes site;
  run_shop(site);
  const auto run_at = [&](const std::string& host, std::vector<std::string> words, const std::string& input) {
    words.insert(words.begin(), {"--endpoint", site.url(host), "run"});
    return run_prunella(words, site.folder(), input);
  };
  std::string text;
  for (int i = 0; i < 5'000; ++i) // as much as the pipe of a test takes at once
    text += "line " + std::to_string(i) + '\n';
  for (const auto& host : {"host-1", "host-2"}) {
    const auto copied = run_at(host, {"-i", "shop/main", "--", "sh", "-c", "cat; exit 5"}, text);
    CHECK(copied.code == 5);
    CHECK((copied.output == text));
  }
  CHECK(run_at("host-3", {"-i", "shop/main", "--", "wc", "-c"}, "").output == "0\n");
  CHECK(run_at("host-3", {"-i", "shop/main", "--", "head", "-n", "1"}, text).output == "line 0\n");
  CHECK(run_at("host-3", {"shop/main", "--", "cat"}, text).output.empty());
  program waiting{{"--endpoint", site.url("host-2"), "run", "-i", "shop/main", "--", "sh", "-c", "trap '' HUP; sleep 1000"}, site.folder() / "waiting.log"};
  site.wait_for("the task runs", [&] { return site.containers_of("host-1").size() == 2; });
  waiting.signal(SIGINT);
  CHECK(waiting.wait() == 128 + SIGINT);
  site.wait_for("only the service is left", [&] { return site.containers_of("host-1").size() == 1; });
}

TEST_CASE("input goes through a pipe to a command on another host and back unchanged, a megabyte of output too") {
  site_processes site;
  run_shop(site);
  std::string bytes;
  for (int i = 0; i < 60'000; ++i)
    bytes += static_cast<char>(i * 7 % 251);
  const auto copied = exec_at(site, "host-2", {"-i", "shop.main-1", "--", "cat"}, bytes);
  CHECK(copied.code == 0);
  CHECK((copied.output == bytes));
  const auto much = exec_at(site, "host-3", {"shop.main-1", "--", "sh", "-c", "head -c 1000000 /dev/zero; exit 3"});
  CHECK(much.code == 3);
  CHECK(much.output.size() == 1'000'000);
}

TEST_CASE("a person has a terminal of the right size in a container on another host, and keys reach the command") {
  site_processes site;
  run_shop(site);
  person someone{{"--endpoint", site.url("host-2"), "exec", "-it", "shop.main-1", "--", "sh"}, 33, 101};
  someone.type("stty size; echo at $PRUNELLA_HOST\n");
  REQUIRE_MESSAGE(someone.sees("33 101"), someone.shown());
  CHECK(someone.sees("at host-1"));
  someone.resize(44, 122);
  someone.type("while [ \"$(stty size)\" != '44 122' ]; do sleep 0.05; done; echo resized\n");
  CHECK(someone.sees("\nresized"));
  someone.type("sh -c \"echo be''fore; exec sleep 1000\"; echo not this\n"); // who says so is who gets the signal
  CHECK(someone.sees("before"));
  someone.type("\x03");
  CHECK(someone.sees("^C"));
  someone.type("echo inter''rupted\n");
  CHECK_MESSAGE(someone.sees("interrupted"), someone.shown());
  someone.type("exit 9\n");
  CHECK(someone.code() == 9);
}

TEST_CASE("a command ends when who sat at it goes away: at once when told, and after a while when killed") {
  site_processes site;
  run_shop(site);
  const auto pid_of = [&](const std::string& name) {
    const auto file = site.folder() / name;
    site.wait_for("the command runs", [&] { return !file_text(file).empty(); });
    return std::stoi(file_text(file));
  };
  const auto command = [&](const std::string& name) {
    const auto file = (site.folder() / name).string();
    return "trap '' HUP; echo $$ > " + file + ".new; mv " + file + ".new " + file + "; sleep 1000";
  };
  program told{{"--endpoint", site.url("host-2"), "exec", "shop.main-1", "--", "sh", "-c", command("told")}, site.folder() / "told.log"};
  const auto first = pid_of("told");
  told.signal(SIGINT);
  CHECK(told.wait() == 128 + SIGINT);
  CHECK(eventually([&] { return is_gone(first); }));
  person someone{{"--endpoint", site.url("host-3"), "exec", "-it", "shop.main-1", "--", "sh", "-c", command("killed")}, 24, 80};
  const auto second = pid_of("killed");
  someone.kill();
  CHECK(eventually([&] { return is_gone(second); }, 40s));
  CHECK(site.instance("default.shop.main-1").restarts == 0);
}
