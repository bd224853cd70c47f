#include "tools/cli/command_line.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>

#include <CLI/CLI.hpp>
#include <sys/ioctl.h>
#include <unistd.h>

#include "config/did_you_mean.hpp"
#include "config/time.hpp"
#include "net/http_client.hpp"
#include "tools/cli/api_token.hpp"
#include "tools/cli/console.hpp"
#include "tools/cli/grammar/grammar.hpp"
#include "tools/cli/standard_streams.hpp"
#include "tools/cli/grammar/validators.hpp"
#include "tools/cli/verbs.hpp"

namespace prunella::tools {

namespace {

constexpr const char* top_help = R"(Examples:
  prunella site up -f config/examples/shop.yaml       start all hosts of a site on this machine
  prunella apply -f config/examples/popcorn.yaml      deploy an application
  prunella tree                                       what runs where
  prunella get instances -o json                      the same for scripts
  prunella logs popcorn -f                            what it prints
  prunella console                                    all commands, with history and Tab

Exit codes: 0 done, 1 failed, 2 not understood.)";

/// CLI11's help without its notes for programmers, such as `NAME(1x)`.
class help_formatter : public CLI::Formatter {
public:
  std::string make_option_usage(const CLI::Option* option) const override {
    const auto name = make_option_name(option, true) + (option->get_expected_max() > 2 ? "..." : "");
    return option->get_required() ? name : '[' + name + ']';
  }

  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_positional() ? "" : CLI::Formatter::make_option_opts(option);
  }
};

/// The parser of one invocation. Its options are filled while it parses; the command that was named then runs.
class command_line {
public:
  /// `console`: the connection of the console that this is a line of; null: a whole invocation.
  command_line(terminal& io, const agent_commands& agent, const connection_options* console)
      : io_(io), words_(io), timeout_(config::duration_text((console ? *console : connection_options{}).timeout)) {
    if (console)
      words_.connection = *console;
    else
      words_.connection.token = find_api_token(api_token_path());
    app_.name("prunella");
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.formatter(std::make_shared<help_formatter>());
    app_.footer(top_help);
    app_.set_help_flag("-h,--help", "Show how this is used");
    app_.set_version_flag("--version", "prunella " PRUNELLA_VERSION, "Print the version");
    endpoint_ = app_.add_option("--endpoint", endpoints_,
                                "Where an agent's API is; several, separated by commas, are tried in order");
    endpoint_->type_name("URL")->default_str(std::string(default_endpoint));
    if (!console)
      endpoint_->envname("PRUNELLA_ENDPOINT");
    timeout_option_ = app_.add_option("--timeout", timeout_, "How long to wait for an answer");
    timeout_option_->check(duration())
        ->capture_default_str()
        ->type_name("DURATION");
    add_looking(words_);
    add_changing(words_);
    add_containers(words_);
    add_files(words_);
    if (console)
      return;
    add_agent(words_, agent);
    add_console();
  }

  int run(std::vector<std::string> words) {
    const auto ended = understand(std::move(words));
    return ended ? *ended : words_.chosen();
  }

  /// The exit code if no command is to run: help was asked for and given, or the words are refused.
  std::optional<int> understand(std::vector<std::string> words) {
    const auto dashes = std::find(words.begin(), words.end(), "--");
    const auto is_verb = [&](const char* verb) { return std::find(words.begin(), dashes, verb) != dashes; };
    if (dashes != words.end() && (is_verb("exec") || is_verb("run"))) { // a command of its own follows
      words_.behind_dashes.assign(dashes + 1, words.end());
      words.erase(dashes, words.end());
    }
    try {
      std::reverse(words.begin(), words.end()); // CLI11 takes them from the back
      app_.parse(std::move(words));
    } catch (const CLI::CallForHelp&) {
      io_.out << help();
      return exit_ok;
    } catch (const CLI::CallForVersion& version) {
      io_.out << version.what() << '\n';
      return exit_ok;
    } catch (const CLI::ParseError& error) {
      return on_usage_error(error);
    }
    auto endpoints = net::split_endpoints(endpoints_);
    if (endpoints.empty() && endpoint_->count() > 0)
      return words_.refuse("the endpoint is empty", "write `--endpoint " + std::string(default_endpoint) +
                                                        "`, or leave it out for that one");
    if (!endpoints.empty())
      words_.connection.endpoints = std::move(endpoints);
    words_.connection.timeout = *config::parse_duration(timeout_);
    words_.timeout_given = timeout_option_->count() > 0;
    return std::nullopt;
  }

private:
  void add_console() {
    words_.add(&app_, "console", "Type commands one after the other, with history and Tab completion",
               "  prunella console\n  echo 'scale popcorn/web 3' | prunella console", [this] {
                 const auto connection = words_.connection;
                 return run_console({connection}, io_, [this, &connection](const std::vector<std::string>& words) {
                   return run_console_line(words, connection);
                 });
               });
  }

  /// A line of the console: a client's command with this invocation's endpoints.
  int run_console_line(std::vector<std::string> words, const connection_options& connection) {
    if (words.front() == "prunella") // as examples and habit have it
      words.erase(words.begin());
    if (!words.empty() && words.front() == "help") {
      words.erase(words.begin());
      words.emplace_back("--help");
    }
    command_line line(io_, {}, &connection);
    line.app_.name("");
    line.app_.footer("exit, quit or Ctrl-D leaves. `help COMMAND` shows how a command is used.");
    return line.run(std::move(words));
  }

  std::string help() const {
    auto text = app_.help();
    text.erase(text.find_last_not_of('\n') + 1);
    return text + '\n';
  }

  /// The deepest command that was named.
  static const CLI::App* deepest(const CLI::App* app) {
    const auto chosen = app->get_subcommands();
    return chosen.empty() ? app : deepest(chosen.front());
  }

  /// `; did you mean `--output`?` for `--ouput`, among the flags that `where` and the commands above it take.
  static std::string flag_suggestion(const CLI::App* where, const std::string& word) {
    if (word.compare(0, 2, "--") != 0)
      return {};
    std::vector<std::string> flags;
    for (const auto* app = where; app; app = app->get_parent())
      for (const auto* option : app->get_options())
        for (const auto& name : option->get_lnames())
          flags.push_back(name);
    const auto near = config::did_you_mean(word.substr(2, word.find('=') - 2), flags);
    return near.empty() ? std::string() : "; did you mean `--" + near + "`?";
  }

  int on_usage_error(const CLI::ParseError& error) {
    const auto* where = deepest(&app_);
    std::vector<std::string> names;
    for (const auto* sub : where->get_subcommands([](const CLI::App*) { return true; }))
      names.push_back(sub->get_name());
    std::string command = where->get_name();
    for (const auto* parent = where->get_parent(); parent; parent = parent->get_parent())
      command = parent->get_name().empty() ? command : parent->get_name() + ' ' + command;

    std::string unknown;
    for (const auto& word : app_.remaining(true))
      if (unknown.empty() && word != "--")
        unknown = word;
    io_.err << "prunella: ";
    if (!unknown.empty() && unknown.front() != '-' && !names.empty())
      io_.err << "there is no command `" << printable(unknown) << "`; " << suggestion(unknown, names);
    else if (!unknown.empty())
      io_.err << "`" << printable(unknown) << "` is not expected here" << flag_suggestion(where, unknown);
    else if (!names.empty())
      io_.err << "a command is missing; " << suggestion({}, names);
    else
      io_.err << error.what();
    io_.err << "\n  fix: `" << command << (command.empty() ? "help`" : " --help`") << " shows how it is used, with examples\n";
    return exit_usage;
  }

  terminal& io_;
  grammar words_;
  CLI::App& app_ = words_.app;
  std::string timeout_;
  std::string endpoints_;
  CLI::Option* endpoint_ = nullptr;
  CLI::Option* timeout_option_ = nullptr;
};

} // namespace

int run_words_of(const std::vector<std::string>& words, terminal& io, const agent_commands& agent) {
  return command_line(io, agent, nullptr).run(words);
}

std::optional<int> check_words(const std::vector<std::string>& words, terminal& io, const agent_commands& agent) {
  return command_line(io, agent, nullptr).understand(words);
}

int run_cli(int argc, char** argv, const agent_commands& agent) {
  keep_standard_streams();
  const char* no_color = std::getenv("NO_COLOR");
  const bool output_is_tty = ::isatty(STDOUT_FILENO) != 0;
  terminal io{std::cin, std::cout, std::cerr};
  io.colours = output_is_tty && !(no_color && *no_color);
  if (winsize size{}; output_is_tty && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
    io.columns = size.ws_col;
  io.interactive = output_is_tty && ::isatty(STDIN_FILENO) != 0;
  return exit_code(run_words_of({argv + 1, argv + argc}, io, agent), std::cout, std::cerr);
}

} // namespace prunella::tools
