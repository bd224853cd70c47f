// `exec` and `run`: sits between this program's terminal and a command in a container.

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>

#include "actors/api/session_view.hpp"
#include "net/base64.hpp"
#include "net/http_router.hpp"
#include "tools/cli/verbs.hpp"

namespace prunella::tools {

namespace {

constexpr std::size_t read_at_once = 16 * 1024;
constexpr int ask_again_ms = 50; // a command that did not read all of its input
constexpr int most_failures = 5; // of reads in a row, a second apart: the session itself is given up after 10 s

struct file {
  explicit file(int x) : fd(x) {}
  ~file() { ::close(fd); }
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  int fd;
};

/// Every key is the command's from now on, until the end of this.
class raw_terminal {
public:
  explicit raw_terminal(bool wanted) : is_on_(wanted && ::tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!is_on_)
      return;
    auto raw = before_;
    ::cfmakeraw(&raw);
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
  }
  ~raw_terminal() {
    if (is_on_)
      ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }
  raw_terminal(const raw_terminal&) = delete;
  raw_terminal& operator=(const raw_terminal&) = delete;

private:
  termios before_{};
  bool is_on_;
};

/// Signals that end this program, or tell of a new window size, as something to poll. Blocked for all threads meanwhile.
class signals {
public:
  signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGWINCH})
      sigaddset(&set, number);
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
    fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~signals() {
    ::close(fd_);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  signals(const signals&) = delete;
  signals& operator=(const signals&) = delete;

  int fd() const { return fd_; }

  /// 0: none.
  int next() const {
    signalfd_siginfo info{};
    return ::read(fd_, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
  }

private:
  sigset_t before_{};
  int fd_ = -1;
};

/// A session as the API has it.
class session_client {
public:
  session_client(const connection_options& connection, std::string session, terminal& io)
      : connection_(connection), path_("/v1/sessions/" + net::percent_encode(session)), io_(io),
        done_(::eventfd(0, EFD_CLOEXEC)) {}

  int done_fd() const { return done_.fd; }
  int code() const { return code_; }

  /// Prints what comes, until the command has ended; in a thread of its own.
  void print_all() {
    std::uint64_t after = 0;
    for (int failures = 0; !is_cancelled_ && failures < most_failures;) {
      const auto result = call_api(connection_, "GET", path_ + "?wait=4s&after=" + std::to_string(after));
      actors::session_output_view output;
      if (!result.error.empty() || !config::from_json(result.value, output).empty()) {
        failure_ = result.error;
        if (result.status >= 400 && result.status < 500)
          break;
        ++failures;
        sleep_for(std::chrono::seconds{1});
        continue;
      }
      failures = 0;
      for (const auto& chunk : output.chunks) {
        (chunk.stream == "stderr" ? io_.err : io_.out) << net::from_base64(chunk.data).value_or("") << std::flush;
        after = chunk.number;
      }
      if (output.over) {
        code_ = output.failure.empty() ? output.exit_code : exit_failed;
        failure_ = output.failure.empty() ? "" : "prunella: " + output.failure + '\n';
        break;
      }
    }
    ::eventfd_write(done_.fd, 1);
  }
  void cancel() { is_cancelled_ = true; }
  /// Why it failed, once `print_all` has returned.
  const std::string& failure() const { return failure_; }

  /// Sends the first of `bytes`, and takes away those that were taken: not all while the command does not read. False if
  /// nobody takes any.
  bool write(std::string& bytes, bool is_end) {
    const auto part = bytes.substr(0, read_at_once);
    actors::session_input_view input;
    input.from = sent_;
    input.data = net::to_base64(part);
    input.end = is_end && part.size() == bytes.size();
    const auto result = call_api(connection_, "POST", path_ + "/input", config::json_text(config::to_json(input)));
    actors::session_taken_view taken;
    if (!result.error.empty() || !config::from_json(result.value, taken).empty() || taken.taken < sent_)
      return false;
    const auto got = std::min<std::uint64_t>(taken.taken - sent_, part.size());
    sent_ += got;
    bytes.erase(0, static_cast<std::size_t>(got));
    return true;
  }

  void resize(const winsize& size) {
    actors::session_input_view input;
    input.from = sent_;
    input.rows = size.ws_row;
    input.columns = size.ws_col;
    static_cast<void>(call_api(connection_, "POST", path_ + "/input", config::json_text(config::to_json(input))));
  }

  void close() { static_cast<void>(call_api(connection_, "DELETE", path_)); }

private:
  const connection_options& connection_;
  const std::string path_;
  terminal& io_;
  file done_;
  std::atomic<bool> is_cancelled_{false};
  int code_ = exit_failed;
  std::string failure_;
  std::uint64_t sent_ = 0;
};

winsize window() {
  winsize size{};
  ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
  return size;
}

/// What is read here and not yet sent.
struct input_buffer {
  std::string bytes;
  bool is_open = false; ///< there may be more
  bool is_over = false; ///< the end was read, and is to be told

  bool has_something() const { return !bytes.empty() || is_over; }

  void read() {
    std::array<char, read_at_once> buffer{};
    const auto n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    bytes.append(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    is_over = n == 0;
    is_open = n != 0;
  }
};

/// Until the command has ended (0), or a signal that ends this program came: that one.
int pass_on_input(session_client& session, const signals& caught, const exec_options& options) {
  input_buffer input;
  input.is_open = options.input;
  for (;;) {
    const bool may_read = input.is_open && !input.has_something();
    std::array<pollfd, 3> entries{
        {{session.done_fd(), POLLIN, 0}, {caught.fd(), POLLIN, 0}, {may_read ? STDIN_FILENO : -1, POLLIN, 0}}};
    if (::poll(entries.data(), entries.size(), input.has_something() ? ask_again_ms : -1) < 0 && errno != EINTR)
      return SIGHUP;
    if (entries[0].revents != 0)
      return 0;
    if (const int signal = caught.next(); signal == SIGWINCH && options.terminal)
      session.resize(window());
    else if (signal != 0 && signal != SIGWINCH)
      return signal;
    if (entries[2].revents != 0)
      input.read();
    if (input.has_something()) {
      const bool is_taken = session.write(input.bytes, input.is_over);
      if (!is_taken)
        input = {}; // the session is over, which its reader tells
      else if (input.bytes.empty())
        input.is_over = false;
    }
  }
}

} // namespace

int run_exec(const exec_options& options, terminal& io) {
  if (options.terminal && (::isatty(STDOUT_FILENO) == 0 || (options.input && ::isatty(STDIN_FILENO) == 0))) {
    io.err << "prunella: --tty needs a terminal, and this program has none\n"
              "  fix: leave -t out where input or output is a pipe or a file\n";
    return exit_usage;
  }
  actors::session_request_view request{options.name, options.command, options.terminal, options.input, 0, 0, options.task, {}};
  if (options.terminal) {
    request.rows = window().ws_row;
    request.columns = window().ws_col;
    const char* kind = std::getenv("TERM");
    request.term = kind == nullptr ? "" : kind;
  }
  const signals caught; // before a second thread begins, which then has them blocked too
  auto result = call_api(options.connection, "POST", "/v1/sessions", config::json_text(config::to_json(request)), false);
  actors::session_opened_view opened;
  if (result.error.empty())
    for (const auto& problem : config::from_json(result.value, opened))
      result.error += "prunella: the session is not understood: " + problem + '\n';
  if (!result.error.empty()) {
    io.err << result.error;
    return exit_failed;
  }
  session_client session{options.connection, opened.session, io};
  int signal = 0;
  {
    const raw_terminal raw{options.terminal && options.input};
    std::thread printing{[&] { session.print_all(); }};
    signal = pass_on_input(session, caught, options);
    if (signal != 0) {
      session.cancel();
      session.close();
    }
    printing.join();
  }
  if (signal != 0)
    return 128 + signal;
  io.err << session.failure();
  return session.code();
}

} // namespace prunella::tools
