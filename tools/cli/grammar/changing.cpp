#include <memory>

#include <CLI/CLI.hpp>

#include "config/time.hpp"
#include "tools/cli/grammar/grammar.hpp"
#include "tools/cli/grammar/validators.hpp"
#include "tools/cli/verbs.hpp"

namespace prunella::tools {

namespace {

void add_apply(grammar& words) {
  const auto options = std::make_shared<apply_options>();
  auto* apply = words.add(&words.app, "apply", "Deploy or update the applications of files",
                          "  prunella apply -f popcorn.yaml\n  prunella apply -f popcorn.yaml -f till.yaml\n"
                          "  prunella apply -f popcorn.yaml --wait --timeout 2m\n"
                          "  generate | prunella apply -f -",
                          [&words, options] {
                            options->connection = words.connection;
                            if (options->wait && words.timeout_given) {
                              options->wait_limit = words.connection.timeout; // of the waiting, not of each request
                              options->connection.timeout = connection_options{}.timeout;
                            }
                            return run_apply(*options, words.io);
                          });
  apply
    ->add_option("-f,--file", options->files,
                 "YAML or JSON with `kind: application`; `-` is standard input; repeatable")
    ->required()
    ->expected(1)
    ->take_all()
    ->type_name("FILE");
  apply->add_flag("-w,--wait", options->wait,
                  "Wait until all of it runs, for --timeout (" + config::duration_text(options->wait_limit)
                    + " if that is not given); say what is in the way");
}

void add_scale(grammar& words) {
  const auto options = std::make_shared<scale_options>();
  auto* scale = words.add(&words.app, "scale", "Change how many copies of a service run",
                          "  prunella scale popcorn/web 3\n  prunella scale shop.popcorn/web 0", [&words, options] {
                            options->connection = words.connection;
                            return run_scale(*options, words.io);
                          });
  scale->add_option("APPLICATION/SERVICE", options->service, "Which service of which application")
    ->required()
    ->type_name("");
  scale->add_option("REPLICAS", options->replicas, "How many copies, 0 to 1000")
    ->required()
    ->check(whole_number(0, 1'000))
    ->type_name("");
}

void add_rollback(grammar& words) {
  const auto options = std::make_shared<rollback_options>();
  auto* rollback = words.add(&words.app, "rollback", "Go back to the version before the present one",
                             "  prunella rollback popcorn\n  prunella rollback shop.popcorn", [&words, options] {
                               options->connection = words.connection;
                               return run_rollback(*options, words.io);
                             });
  rollback->add_option("APPLICATION", options->application, "Which application")->required()->type_name("");
}

void add_restart(grammar& words) {
  const auto options = std::make_shared<restart_options>();
  auto* restart = words.add(&words.app, "restart", "End what runs and begin it again, a service one instance after the other",
                            "  prunella restart popcorn/web\n  prunella restart popcorn.web-1", [&words, options] {
                              options->connection = words.connection;
                              return run_restart(*options, words.io);
                            });
  restart->add_option("APPLICATION/SERVICE|INSTANCE", options->what, "Which service of which application, or which instance")
    ->required()
    ->type_name("");
}

/// `delete application NAME` and `delete NAME` are the same.
void add_delete(grammar& words) {
  const auto given = std::make_shared<std::vector<std::string>>();
  auto* remove = words.add(&words.app, "delete", "Stop and forget an application",
                           "  prunella delete popcorn\n  prunella delete application shop.popcorn", [&words, given] {
                             if (given->size() == 2 && given->front() != "application")
                               return words.refuse("only applications can be deleted, so `" + given->front() + "` is not expected",
                                                   "write `prunella delete application " + given->back() + '`');
                             return run_delete({words.connection, given->back()}, words.io);
                           });
  remove->add_option("NAME", *given, "The application; `application NAME` is the same")
    ->required()
    ->expected(1, 2)
    ->type_name("");
}

void add_kill(grammar& words) {
  const auto options = std::make_shared<path_options>();
  auto* kill = words.add(&words.app, "kill", "Kill one actor of an agent, to watch its supervisor work",
                         "  prunella tree --actors\n  prunella kill host-1/root/core/consensus", [&words, options] {
                           options->connection = words.connection;
                           return run_kill(*options, words.io);
                         });
  kill->add_option("PATH", options->path, "Path of the actor, from `tree --actors`")->required()->type_name("");
}

} // namespace

void add_changing(grammar& words) {
  add_apply(words);
  add_scale(words);
  add_rollback(words);
  add_restart(words);
  add_delete(words);
  add_kill(words);
}

} // namespace prunella::tools
