#include <memory>
#include <string_view>

#include <CLI/CLI.hpp>

#include "tools/cli/grammar/grammar.hpp"
#include "tools/cli/grammar/validators.hpp"
#include "tools/cli/verbs.hpp"

namespace prunella::tools {

namespace {

/// An option that the list does not have would be dropped in silence.
int refuse_get(const grammar& words, const get_options& get) {
  const bool is_events = get.what == "events";
  const auto* wrong = !get.application.empty() && get.what != "instances" ? "--application"
                      : get.limit > 0 && !is_events                       ? "--limit"
                      : !get.after.empty() && !is_events                  ? "--after"
                                                                          : nullptr;
  if (!wrong)
    return exit_ok;
  return words.refuse(std::string("`") + wrong + "` says nothing about " + get.what,
                      std::string("leave it out, or write `prunella get ")
                        + (std::string_view(wrong) == "--application" ? "instances" : "events") + ' ' + wrong + " …`");
}

void add_get(grammar& words) {
  const auto options = std::make_shared<get_options>();
  auto* get = words.add(&words.app, "get", "List hosts, applications, instances, services, images or events",
                        "  prunella get instances\n"
                        "  prunella get instances -a popcorn --watch\n"
                        "  prunella get hosts -o json\n"
                        "  prunella get events --limit 20\n\n"
                        "Instances: GENERATION grows with each placement and each update of one; a new one begins above all that were removed, so that none "
                        "comes twice. RESTARTS is how often it was started again where it is.",
                        [&words, options] {
                          if (const int code = refuse_get(words, *options); code != exit_ok)
                            return code;
                          options->connection = words.connection;
                          return run_get(*options, words.io);
                        });
  get->add_option("hosts|applications|instances|services|images|events", options->what, "What to list")
    ->required()
    ->check(one_of({"hosts", "applications", "instances", "services", "images", "events"}))
    ->type_name("");
  grammar::add_output(get, options->output);
  get->add_option("-a,--application", options->application, "Instances of this application only")->type_name("NAME");
  get->add_option("--after", options->after, "Events behind the one with this id only")->type_name("ID");
  get->add_option("--limit", options->limit, "At most so many events")->check(whole_number(1, 1'000))->type_name("N");
  get->add_flag("-w,--watch", options->watch, "Look again every second until interrupted");
}

void add_top(grammar& words) {
  const auto options = std::make_shared<get_options>();
  auto* top = words.add(&words.app, "top", "Show what hosts or containers use of what is there and reserved",
                        "  prunella top\n  prunella top containers --watch\n\n"
                        "USED/TOTAL of the machine, whoever uses it, and RESERVED/CAPACITY as the site counts; of containers "
                        "USED/RESERVED. CPU in cores (250m is a quarter), the mean since the last look, at most a minute. A container's "
                        "DISK is its own files and logs, of its limit if it has one.",
                        [&words, options] {
                          options->connection = words.connection;
                          options->what = options->what == "containers" ? "use/containers" : "use/hosts";
                          return run_get(*options, words.io);
                        });
  top->add_option("hosts|containers", options->what, "What to look at (hosts)")
    ->default_str("hosts")
    ->check(one_of({"hosts", "containers"}))
    ->type_name("");
  grammar::add_output(top, options->output);
  top->add_flag("-w,--watch", options->watch, "Look again every second until interrupted");
}

void add_tree(grammar& words) {
  const auto options = std::make_shared<tree_options>();
  auto* tree = words.add(&words.app, "tree", "Draw the site: hosts, applications, instances, containers",
                         "  prunella tree\n  prunella tree --actors      the agents' actors and their supervisors",
                         [&words, options] {
                           options->connection = words.connection;
                           return run_tree(*options, words.io);
                         });
  tree->add_flag("--actors", options->actors, "Draw the agents' actors instead");
}

void add_status(grammar& words) {
  const auto options = std::make_shared<status_options>();
  auto* status = words.add(&words.app, "status", "Say how the site is: leader, quorum, hosts, instances",
                           "  prunella status\n  prunella status -o json", [&words, options] {
                             options->connection = words.connection;
                             return run_status(*options, words.io);
                           });
  grammar::add_output(status, options->output);
}

void add_inspect(grammar& words) {
  const auto options = std::make_shared<path_options>();
  auto* inspect = words.add(&words.app, "inspect", "Show everything known of one host, application, instance or actor",
                            "  prunella inspect host-1\n  prunella inspect default.popcorn\n"
                            "  prunella inspect default.popcorn.web-1",
                            [&words, options] {
                              options->connection = words.connection;
                              return run_inspect(*options, words.io);
                            });
  inspect->add_option("NAME", options->path, "Its name, or the path of an actor")->required()->type_name("");
}

} // namespace

void add_looking(grammar& words) {
  add_get(words);
  add_top(words);
  add_tree(words);
  add_status(words);
  add_inspect(words);
}

} // namespace prunella::tools
