#include "actors/instance/engine/engine_command.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>
#include <thread>
#include <utility>

#include "actors/instance/command_runner.hpp"
#include "actors/instance/engine/engine_api.hpp"
#include "actors/instance/engine/engine_stream.hpp"
#include "actors/instance/unique_fd.hpp"
#include "net/unix_http.hpp"
#include "storage/os_files.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;

constexpr int no_command = 127;
constexpr milliseconds patience{10'000}; ///< for each answer of the engine
constexpr milliseconds end_patience{5'000}; ///< for it to notice the end of the command
constexpr milliseconds end_pause{5};
constexpr int begin_pause_ms = 10; ///< between two looks at whether it has begun
constexpr std::size_t most_words = 4096;

struct wanted_command {
  std::string socket;
  std::string container;
  std::string pid_file;
  bool has_terminal = false;
  std::vector<std::string> command;
};

wanted_command read_arguments(const std::vector<std::string>& arguments) {
  wanted_command wanted;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--") {
      wanted.command.assign(arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, arguments.end());
      break;
    }
    if (arguments[i] == "--tty")
      wanted.has_terminal = true;
    for (auto [option, value] : {std::pair{"--socket", &wanted.socket}, {"--container", &wanted.container}, {"--pid-file", &wanted.pid_file}})
      if (arguments[i] == option && i + 1 < arguments.size())
        *value = arguments[i + 1];
  }
  return wanted;
}

/// Something can be read there, now or later.
bool has_input() {
  struct stat found {};
  if (::fstat(STDIN_FILENO, &found) != 0)
    return false;
  return !S_ISCHR(found.st_mode) || found.st_rdev != ::makedev(1, 3); // /dev/null
}

class engine_command_run {
public:
  explicit engine_command_run(wanted_command wanted) : wanted_(std::move(wanted)) {}

  int run() {
    const bool input = has_input();
    auto made = call("POST", "/containers/" + wanted_.container + "/exec", exec_body(wanted_.command, input, wanted_.has_terminal));
    id_ = made.status == 201 ? parse_engine_id(made.body) : std::string{};
    if (id_.empty())
      return refuse(made);
    catch_window_changes();
    auto opened = net::unix_open(wanted_.socket, "POST", "/exec/" + id_ + "/start",
                                 wanted_.has_terminal ? R"({"Detach":false,"Tty":true})" : R"({"Detach":false,"Tty":false})", true, options());
    if (const auto* failure = std::get_if<net::http_failure>(&opened))
      return refuse({0, {}, failure->sentence, {}, {}});
    if (const auto* answer = std::get_if<net::http_answer>(&opened))
      return refuse(*answer);
    const auto& stream = std::get<net::unix_stream>(opened);
    stream_ = unique_fd{stream.fd};
    if (wanted_.has_terminal) {
      make_terminal_raw();
      tell_window();
    }
    note_pid();
    show(stream.first);
    pump(input);
    return finish();
  }

private:
  static net::http_call_options options() {
    net::http_call_options x;
    x.timeout = patience;
    x.max_answer_bytes = 1 << 20;
    return x;
  }

  net::http_answer call(std::string_view method, const std::string& target, std::string body = {}) const {
    auto outcome = net::unix_call(wanted_.socket, method, target, std::move(body), options());
    if (const auto* failure = std::get_if<net::http_failure>(&outcome))
      return {0, {}, failure->sentence, {}, {}};
    return std::get<net::http_answer>(std::move(outcome));
  }

  static int refuse(const net::http_answer& answer) {
    std::cerr << engine_message(answer.body) << std::endl;
    return answer.status == 0 ? engine_not_asked : no_command;
  }

  /// The host's number of the command's process, by which it can be ended. Before that is known it may be over. Podman
  /// answers when it has begun, Docker before that.
  void note_pid() {
    const auto looked = parse_engine_command(call("GET", "/exec/" + id_ + "/json").body);
    if (looked && looked->is_running && looked->pid > 0)
      write_pid(looked->pid);
    may_begin_ = looked && !is_noted_ && !looked->has_ended;
  }

  void write_pid(std::int64_t pid) {
    std::ofstream{wanted_.pid_file} << pid;
    is_noted_ = true;
  }

  // -- the terminal -----------------------------------------------------------------------------------------------------

  void catch_window_changes() {
    sigset_t changes;
    sigemptyset(&changes);
    sigaddset(&changes, SIGWINCH);
    ::sigprocmask(SIG_BLOCK, &changes, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    if (wanted_.has_terminal)
      changes_ = unique_fd{::signalfd(-1, &changes, SFD_CLOEXEC | SFD_NONBLOCK)};
  }

  static void make_terminal_raw() { // the command has a terminal of its own, which does what there is to do
    termios mode{};
    if (::tcgetattr(STDIN_FILENO, &mode) != 0)
      return;
    ::cfmakeraw(&mode);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &mode);
  }

  void tell_window() const {
    winsize window{};
    if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row > 0)
      call("POST", "/exec/" + id_ + "/resize?h=" + std::to_string(window.ws_row) + "&w=" + std::to_string(window.ws_col));
  }

  // -- bytes ------------------------------------------------------------------------------------------------------------

  void show(std::string_view bytes) {
    if (wanted_.has_terminal)
      return show(STDOUT_FILENO, bytes);
    for (const auto& piece : pieces_.take(bytes))
      show(piece.is_error ? STDERR_FILENO : STDOUT_FILENO, piece.text);
  }

  void show(int fd, std::string_view bytes) {
    words_.append(bytes.substr(0, most_words - std::min(words_.size(), most_words)));
    storage::write_all(fd, bytes); // who reads it may be gone
  }

  void pump(bool input) {
    std::array<char, 32 * 1024> buffer{};
    for (;;) {
      std::array<pollfd, 3> waiting{pollfd{stream_.get(), POLLIN, 0}, {input ? STDIN_FILENO : -1, POLLIN, 0}, {changes_.get(), POLLIN, 0}};
      const int ready = ::poll(waiting.data(), waiting.size(), may_begin_ ? begin_pause_ms : -1);
      if (ready < 0 && errno != EINTR)
        return;
      if (may_begin_)
        note_pid();
      if (ready <= 0)
        continue;
      if (waiting[2].revents != 0) {
        signalfd_siginfo change{};
        while (::read(changes_.get(), &change, sizeof change) > 0)
          continue;
        tell_window();
      }
      if (waiting[1].revents != 0) {
        const auto n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
        if (n > 0)
          storage::write_all(stream_.get(), {buffer.data(), static_cast<std::size_t>(n)});
        else
          input = false;
        if (!input)
          ::shutdown(stream_.get(), SHUT_WR);
      }
      if (waiting[0].revents != 0) {
        const auto n = ::read(stream_.get(), buffer.data(), buffer.size());
        if (n <= 0)
          return;
        show({buffer.data(), static_cast<std::size_t>(n)});
      }
    }
  }

  /// The stream ends a moment before the engine knows how the command did.
  int finish() {
    const auto until = std::chrono::steady_clock::now() + end_patience;
    for (;;) {
      const auto looked = parse_engine_command(call("GET", "/exec/" + id_ + "/json").body);
      if (looked && !looked->is_running)
        return ended(looked->exit_code);
      if (std::chrono::steady_clock::now() > until) {
        std::cerr << "the container engine does not say how the command ended" << std::endl;
        return no_command;
      }
      std::this_thread::sleep_for(end_pause);
    }
  }

  /// A command that could not be begun looks like one that ended with 126 or 127, but for the words of the runtime.
  int ended(std::int32_t code) {
    const auto says = [&](const char* what) { return words_.find(what) != std::string::npos; };
    const bool is_refused = (code == 126 || code == 127) && (says("unable to start container process") || says("exec failed"));
    if (!is_noted_ && !is_refused)
      write_pid(0);
    return code;
  }

  const wanted_command wanted_;
  std::string id_;
  unique_fd stream_;
  unique_fd changes_;
  stream_demultiplexer pieces_;
  std::string words_; ///< the first that it printed
  bool is_noted_ = false;
  bool may_begin_ = false; ///< its number is still to be asked for
};

} // namespace

int run_engine_command(const std::vector<std::string>& arguments) {
  return engine_command_run{read_arguments(arguments)}.run();
}

} // namespace prunella::actors
