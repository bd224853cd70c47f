#include "tools/cli/console.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <filesystem>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>

#include <editline/readline.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/json.hpp"
#include "tools/cli/verbs.hpp"
#include "tools/cli/views.hpp"
#include "tools/cli/words.hpp"

namespace prunella::tools {

namespace {

constexpr int history_lines = 1'000;

/// Rows for completion: quick, and silent when nothing answers.
template <class Row>
std::vector<Row> rows_or_none(const connection_options& connection, std::string_view target) {
  auto quick = connection;
  quick.timeout = std::chrono::milliseconds(500);
  const auto result = call_api(quick, "GET", target);
  std::vector<Row> rows;
  if (!result.error.empty() || !config::from_json(result.value, rows).empty())
    rows.clear();
  return rows;
}

known_names fetch_names(const connection_options& connection) {
  known_names names;
  for (const auto& application : rows_or_none<actors::application_view>(connection, "/v1/applications")) {
    names.applications.push_back(full_name(application));
    for (const auto& service : application.services)
      names.services.push_back(full_name(application) + '/' + service.name);
  }
  for (const auto& host : rows_or_none<actors::host_view>(connection, "/v1/hosts"))
    names.hosts.push_back(host.id);
  for (const auto& instance : rows_or_none<actors::instance_view>(connection, "/v1/instances"))
    names.instances.push_back(instance.name);
  for (const auto& actor : rows_or_none<actors::actor_view>(connection, "/v1/actors"))
    names.actors.push_back(actor.path);
  return names;
}

/// What libedit's C callbacks look at: it has no user pointer, and there is one console per process.
struct completion_state {
  connection_options connection;
  known_names names;
  std::chrono::steady_clock::time_point fetched;
  std::vector<std::string> candidates;
  std::size_t next = 0;
};
completion_state* completing = nullptr;

char* next_candidate(const char*, int state) {
  if (state == 0)
    completing->next = 0;
  if (completing->next >= completing->candidates.size())
    return nullptr;
  return ::strdup(completing->candidates[completing->next++].c_str());
}

char** complete_line(const char* word, int start, int) {
  rl_attempted_completion_over = 1; // never file names
  const auto now = std::chrono::steady_clock::now();
  if (now - completing->fetched > std::chrono::seconds(2)) {
    completing->names = fetch_names(completing->connection);
    completing->fetched = std::chrono::steady_clock::now();
  }
  const std::string before(rl_line_buffer, static_cast<std::size_t>(start));
  completing->candidates = complete(before + word, completing->names);
  return rl_completion_matches(word, next_candidate);
}

/// `$XDG_STATE_HOME/prunella/history` or `~/.local/state/prunella/history`; empty: nowhere to keep one.
std::filesystem::path history_file() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path base;
  if (state && *state == '/')
    base = state;
  else if (home && *home == '/')
    base = std::filesystem::path(home) / ".local" / "state";
  else
    return {};
  std::error_code error;
  std::filesystem::create_directories(base / "prunella", error);
  return error ? std::filesystem::path() : base / "prunella" / "history";
}

volatile std::sig_atomic_t interrupted = 0;

/// While it lives, Ctrl-C ends what waits (a line, `--watch`) and not the process.
class interrupt_guard {
public:
  interrupt_guard() {
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = 1; };
    ::sigaction(SIGINT, &action, &previous_); // without SA_RESTART: what waits has to notice
  }
  ~interrupt_guard() { ::sigaction(SIGINT, &previous_, nullptr); }
  interrupt_guard(const interrupt_guard&) = delete;
  interrupt_guard& operator=(const interrupt_guard&) = delete;

private:
  struct sigaction previous_ {};
};

/// One character of what is typed, for libedit. Ctrl-C is passed on as Ctrl-U, which empties the line.
int next_key(FILE* in) {
  constexpr int kill_line = 'U' - '@';
  std::mbstate_t state{};
  while (true) {
    char byte = 0;
    const auto size = ::read(::fileno(in), &byte, 1);
    if (size < 0 && errno == EINTR && interrupted) {
      interrupted = 0;
      return kill_line;
    }
    if (size < 0 && errno == EINTR)
      continue;
    if (size <= 0)
      return EOF;
    wchar_t character = 0;
    const auto used = std::mbrtowc(&character, &byte, 1, &state);
    if (used != static_cast<std::size_t>(-2)) // -2: the character goes on
      return used == static_cast<std::size_t>(-1) ? static_cast<unsigned char>(byte) : static_cast<int>(character);
  }
}

/// Line editing with history and completion for as long as it lives.
class line_editor {
public:
  explicit line_editor(const connection_options& connection) : file_(history_file()) {
    state_.connection = connection;
    completing = &state_;
    rl_readline_name = "prunella";
    rl_getc_function = next_key; // before rl_initialize, which asks for it
    rl_initialize();
    using_history();
    stifle_history(history_lines);
    if (!file_.empty())
      read_history(file_.c_str());
    rl_attempted_completion_function = complete_line;
    // Names are one word here: `default.popcorn/web`, `host-1/root/core`.
    rl_completer_word_break_characters = const_cast<char*>(" \t");
  }

  ~line_editor() {
    if (!file_.empty()) {
      write_history(file_.c_str());
      ::chmod(file_.c_str(), S_IRUSR | S_IWUSR); // what someone typed is theirs
    }
    rl_attempted_completion_function = nullptr;
    completing = nullptr;
  }

  line_editor(const line_editor&) = delete;
  line_editor& operator=(const line_editor&) = delete;

  std::optional<std::string> read() {
    interrupted = 0; // it ended the last command
    const std::unique_ptr<char, decltype(&std::free)> line(readline("prunella> "), &std::free);
    if (!line)
      return std::nullopt;
    std::string text(line.get());
    if (text.find_first_not_of(" \t") != std::string::npos)
      add_history(text.c_str());
    return text;
  }

private:
  interrupt_guard guard_;
  std::filesystem::path file_;
  completion_state state_;
};

enum class line_result { next, leave, failed };

/// Runs one line; `code` is its exit code.
line_result run_line(const std::string& line, terminal& io, const run_words& run, int& code) {
  const auto split = split_line(line);
  code = exit_ok;
  if (!split.error.empty()) {
    io.err << "prunella: column " << split.column << ": " << split.error << '\n';
    code = exit_usage;
  } else if (!split.words.empty()) {
    if (split.words.front() == "exit" || split.words.front() == "quit")
      return line_result::leave;
    code = run(split.words);
  }
  io.out.flush();
  return code == exit_ok ? line_result::next : line_result::failed;
}

int run_script(terminal& io, const run_words& run) {
  std::string line;
  for (std::size_t number = 1; std::getline(io.in, line); ++number) {
    int code = exit_ok;
    const auto result = run_line(line, io, run, code);
    if (result == line_result::leave)
      return exit_ok;
    if (result == line_result::failed) {
      io.err << "prunella: stopped at line " << number << " of the input: " << printable(line) << '\n';
      return code;
    }
  }
  return exit_ok;
}

} // namespace

int run_console(const console_options& options, terminal& io, const run_words& run) {
  if (!io.interactive)
    return run_script(io, run);
  io.out << "prunella console. `help` lists the commands, Tab completes, Ctrl-C empties the line, `exit` or Ctrl-D leaves.\n" << std::flush;
  line_editor editor(options.connection);
  while (const auto line = editor.read()) {
    int code = exit_ok;
    if (run_line(*line, io, run, code) == line_result::leave)
      return exit_ok;
  }
  io.out << '\n';
  return exit_ok;
}

} // namespace prunella::tools
