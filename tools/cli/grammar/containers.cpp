#include <memory>

#include <CLI/CLI.hpp>

#include "tools/cli/grammar/grammar.hpp"
#include "tools/cli/grammar/validators.hpp"
#include "tools/cli/verbs.hpp"

namespace prunella::tools {

namespace {

void add_logs(grammar& words) {
  const auto options = std::make_shared<logs_options>();
  auto* logs = words.add(&words.app, "logs", "Show what containers print, wherever they run",
                         "  prunella logs popcorn                          the first replica of each of its services\n"
                         "  prunella logs popcorn/web --all-replicas -f    every replica, and what comes\n"
                         "  prunella logs popcorn.web-1 --tail 20 --timestamps\n"
                         "  prunella logs popcorn.web-1/front --since 10m\n"
                         "  prunella logs popcorn.web-1 --all-hosts        also from before it moved\n\n"
                         "A host keeps what all starts of a container printed there, within the container's `logs: {max-size, max-age}`, "
                         "as long as the site has the instance, wherever that runs now.",
                         [&words, options] {
                           options->connection = words.connection;
                           return run_logs(*options, words.io);
                         });
  logs->add_option("NAME", options->name, "INSTANCE, INSTANCE/CONTAINER, APPLICATION or APPLICATION/SERVICE")
    ->required()
    ->check(some_text())
    ->type_name("");
  logs->add_flag("-f,--follow", options->follow, "Go on with what comes, until interrupted");
  logs->add_option("--since", options->since, "Only lines that are not older, such as 10m")->check(duration())->type_name("DURATION");
  logs->add_option("--tail", options->tail, "At most so many lines of each container, the newest")
    ->check(whole_number(0, 1'000'000))
    ->type_name("N");
  logs->add_flag("--all-replicas", options->all_replicas, "Every replica of the services instead of the first");
  logs->add_flag("--all-hosts", options->all_hosts, "Also what hosts keep on which the instances ran before");
  logs->add_flag("--timestamps", options->timestamps, "With the time of each line");
}

/// Runs what stands behind the dashes; `verb` is for the sentence when nothing does.
int run_command(const grammar& words, exec_options& options, const std::string& verb) {
  options.connection = words.connection;
  options.command = words.behind_dashes;
  if (options.command.empty())
    return words.refuse("the command is missing",
                        "write it behind two dashes: `prunella " + verb + ' ' + options.name + " -- ls`");
  return run_exec(options, words.io);
}

void add_exec(grammar& words) {
  const auto options = std::make_shared<exec_options>();
  auto* exec = words.add(&words.app, "exec", "Run a command in a running container: prunella exec INSTANCE -- COMMAND",
                         "  prunella exec popcorn.web-1 -- ls -l /srv\n"
                         "  prunella exec -it popcorn.web-1 -- sh          a shell\n"
                         "  prunella exec -it popcorn.web-1/front -- top   in one of its containers\n"
                         "  prunella exec -i popcorn.db-1 -- psql < dump.sql\n\n"
                         "The exit code is that of the command. It ends when this program does.",
                         [&words, options] { return run_command(words, *options, "exec"); });
  exec->add_option("INSTANCE", options->name, "INSTANCE or INSTANCE/CONTAINER")->required()->check(some_text())->type_name("");
  exec->add_flag("-i,--input", options->input, "Pass on what is typed or piped in");
  exec->add_flag("-t,--tty", options->terminal, "Give it a terminal");
}

void add_run(grammar& words) {
  const auto options = std::make_shared<exec_options>();
  options->task = true;
  auto* run = words.add(&words.app, "run",
                        "Run a command once, in a container made as a service's: prunella run APPLICATION/SERVICE -- COMMAND",
                        "  prunella run shop/db -- pg_dump shop\n"
                        "  prunella run popcorn/web -- sh -c 'ls -l; env'\n"
                        "  prunella run -i shop/db -- psql < dump.sql\n\n"
                        "It has the image, environment, volumes and limits of the service's first container, and is removed afterwards. "
                        "The exit code is that of the command. It ends when this program does.",
                        [&words, options] { return run_command(words, *options, "run"); });
  run->add_flag("-i,--input", options->input, "Pass on what is typed or piped in");
  run->add_option("APPLICATION/SERVICE", options->name, "As whose containers it is made")->required()->check(some_text())->type_name("");
}

} // namespace

void add_containers(grammar& words) {
  add_logs(words);
  add_exec(words);
  add_run(words);
}

} // namespace prunella::tools
