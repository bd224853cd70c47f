#include "tools/cli/command_line.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>

#include <CLI/CLI.hpp>
#include <unistd.h>

#include "config/did_you_mean.hpp"
#include "config/time.hpp"
#include "net/http_client.hpp"
#include "tools/cli/console.hpp"
#include "tools/cli/standard_streams.hpp"
#include "tools/cli/validators.hpp"
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

/// The parser of one invocation. Its options are filled while it parses; `chosen` then runs the command.
class command_line {
public:
  /// `console`: the connection of the console that this is a line of; null: a whole invocation.
  command_line(terminal& io, agent_commands agent, const connection_options* console)
      : io_(io), agent_(std::move(agent)), connection_(console ? *console : connection_options{}),
        timeout_(config::duration_text(connection_.timeout)) {
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
    add_looking();
    add_changing();
    add_containers();
    add_files();
    add_images();
    if (console)
      return;
    add_agent();
    add_console();
  }

  int run(std::vector<std::string> words) {
    const auto ended = understand(std::move(words));
    return ended ? *ended : chosen_();
  }

  /// The exit code if no command is to run: help was asked for and given, or the words are refused.
  std::optional<int> understand(std::vector<std::string> words) {
    const auto dashes = std::find(words.begin(), words.end(), "--");
    const auto is_verb = [&](const char* verb) { return std::find(words.begin(), dashes, verb) != dashes; };
    if (dashes != words.end() && (is_verb("exec") || is_verb("run"))) { // a command of its own follows
      exec_.command.assign(dashes + 1, words.end());
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
      return refuse("the endpoint is empty", "write `--endpoint " + std::string(default_endpoint) +
                                                 "`, or leave it out for that one");
    if (!endpoints.empty())
      connection_.endpoints = std::move(endpoints);
    connection_.timeout = *config::parse_duration(timeout_);
    return std::nullopt;
  }

private:
  CLI::App* add(CLI::App* parent, const char* name, const char* what, const char* examples,
                std::function<int()> command) {
    auto* sub = parent->add_subcommand(name, what);
    sub->footer(std::string("Examples:\n") + examples);
    sub->callback([this, command = std::move(command)] { chosen_ = command; });
    return sub;
  }

  void add_output(CLI::App* sub) {
    sub->add_option("-o,--output", output_, "How to print: table, json or yaml")
        ->check(one_of({"table", "json", "yaml"}))
        ->type_name("FORMAT")
        ->default_str("table");
  }

  output_format output() const {
    return output_ == "json" ? output_format::json : output_ == "yaml" ? output_format::yaml : output_format::table;
  }

  void add_looking() {
    auto* get = add(&app_, "get", "List hosts, applications, instances, services, images or events",
                    "  prunella get instances\n"
                    "  prunella get instances -a popcorn --watch\n"
                    "  prunella get hosts -o json\n"
                    "  prunella get events --limit 20\n\n"
                    "Instances: GENERATION counts how often the site placed it, RESTARTS how often it was started again "
                    "where it is.",
                    [this] {
                      if (const int code = refuse_get(); code != exit_ok)
                        return code;
                      get_.connection = connection_;
                      get_.output = output();
                      return run_get(get_, io_);
                    });
    get->add_option("hosts|applications|instances|services|images|events", get_.what, "What to list")
        ->required()
        ->check(one_of({"hosts", "applications", "instances", "services", "images", "events"}))
        ->type_name("");
    add_output(get);
    get->add_option("-a,--application", get_.application, "Instances of this application only")->type_name("NAME");
    get->add_option("--after", get_.after, "Events behind the one with this id only")->type_name("ID");
    get->add_option("--limit", get_.limit, "At most so many events")->check(whole_number(1, 1'000))->type_name("N");
    get->add_flag("-w,--watch", get_.watch, "Look again every second until interrupted");

    auto* top = add(&app_, "top", "Show what hosts or containers use of what is there and reserved",
                    "  prunella top\n  prunella top containers --watch\n\n"
                    "USED/TOTAL of the machine, whoever uses it, and RESERVED/CAPACITY as the site counts; of containers "
                    "USED/RESERVED. CPU in cores (250m is a quarter), the mean since the last look, at most a minute. A container's "
                    "DISK is its own files and logs.",
                    [this] {
                      get_.connection = connection_;
                      get_.output = output();
                      get_.what = get_.what == "containers" ? "use/containers" : "use/hosts";
                      return run_get(get_, io_);
                    });
    top->add_option("hosts|containers", get_.what, "What to look at (hosts)")
      ->default_str("hosts")
      ->check(one_of({"hosts", "containers"}))
      ->type_name("");
    add_output(top);
    top->add_flag("-w,--watch", get_.watch, "Look again every second until interrupted");

    auto* tree = add(&app_, "tree", "Draw the site: hosts, applications, instances, containers",
                     "  prunella tree\n  prunella tree --actors      the agents' actors and their supervisors", [this] {
                       tree_.connection = connection_;
                       return run_tree(tree_, io_);
                     });
    tree->add_flag("--actors", tree_.actors, "Draw the agents' actors instead");

    auto* status = add(&app_, "status", "Say how the site is: leader, quorum, hosts, instances",
                       "  prunella status\n  prunella status -o json", [this] {
                         status_.connection = connection_;
                         status_.output = output();
                         return run_status(status_, io_);
                       });
    add_output(status);

    auto* inspect = add(&app_, "inspect", "Show everything known of one host, application, instance or actor",
                        "  prunella inspect host-1\n  prunella inspect default.popcorn\n"
                        "  prunella inspect default.popcorn.web-1",
                        [this] {
                          path_.connection = connection_;
                          return run_inspect(path_, io_);
                        });
    inspect->add_option("NAME", path_.path, "Its name, or the path of an actor")->required()->type_name("");
  }

  void add_changing() {
    auto* apply = add(&app_, "apply", "Deploy or update the applications of files",
                      "  prunella apply -f popcorn.yaml\n  prunella apply -f popcorn.yaml -f till.yaml\n"
                      "  prunella apply -f popcorn.yaml --wait --timeout 2m\n"
                      "  generate | prunella apply -f -",
                      [this] {
                        apply_.connection = connection_;
                        if (apply_.wait && timeout_option_->count() > 0) {
                          apply_.wait_limit = connection_.timeout; // of the waiting, not of each request
                          apply_.connection.timeout = connection_options{}.timeout;
                        }
                        return run_apply(apply_, io_);
                      });
    apply
        ->add_option("-f,--file", apply_.files,
                     "YAML or JSON with `kind: application`; `-` is standard input; repeatable")
        ->required()
        ->expected(1)
        ->take_all()
        ->type_name("FILE");
    apply->add_flag("-w,--wait", apply_.wait,
                    "Wait until all of it runs, for --timeout (" + config::duration_text(apply_.wait_limit) +
                        " if that is not given); say what is in the way");

    auto* scale = add(&app_, "scale", "Change how many copies of a service run",
                      "  prunella scale popcorn/web 3\n  prunella scale shop.popcorn/web 0", [this] {
                        scale_.connection = connection_;
                        return run_scale(scale_, io_);
                      });
    scale->add_option("APPLICATION/SERVICE", scale_.service, "Which service of which application")
        ->required()
        ->type_name("");
    scale->add_option("REPLICAS", scale_.replicas, "How many copies, 0 to 1000")
        ->required()
        ->check(whole_number(0, 1'000))
        ->type_name("");

    auto* rollback = add(&app_, "rollback", "Go back to the version before the present one",
                         "  prunella rollback popcorn\n  prunella rollback shop.popcorn", [this] {
                           rollback_.connection = connection_;
                           return run_rollback(rollback_, io_);
                         });
    rollback->add_option("APPLICATION", rollback_.application, "Which application")->required()->type_name("");

    auto* remove = add(&app_, "delete", "Stop and forget an application",
                       "  prunella delete popcorn\n  prunella delete application shop.popcorn", [this] {
                         // `delete application NAME` and `delete NAME` are the same.
                         if (delete_words_.size() == 2 && delete_words_[0] != "application")
                           return refuse_delete();
                         delete_.application = delete_words_.back();
                         delete_.connection = connection_;
                         return run_delete(delete_, io_);
                       });
    remove->add_option("NAME", delete_words_, "The application; `application NAME` is the same")
        ->required()
        ->expected(1, 2)
        ->type_name("");
    auto* kill = add(&app_, "kill", "Kill one actor of an agent, to watch its supervisor work",
                     "  prunella tree --actors\n  prunella kill host-1/root/core/consensus", [this] {
                       path_.connection = connection_;
                       return run_kill(path_, io_);
                     });
    kill->add_option("PATH", path_.path, "Path of the actor, from `tree --actors`")->required()->type_name("");
  }

  void add_containers() {
    auto* logs = add(&app_, "logs", "Show what containers print, wherever they run",
                     "  prunella logs popcorn                          the first replica of each of its services\n"
                     "  prunella logs popcorn/web --all-replicas -f    every replica, and what comes\n"
                     "  prunella logs popcorn.web-1 --tail 20 --timestamps\n"
                     "  prunella logs popcorn.web-1/front --since 10m",
                     [this] {
                       logs_.connection = connection_;
                       return run_logs(logs_, io_);
                     });
    logs->add_option("NAME", logs_.name, "INSTANCE, INSTANCE/CONTAINER, APPLICATION or APPLICATION/SERVICE")
        ->required()
        ->check(some_text())
        ->type_name("");
    logs->add_flag("-f,--follow", logs_.follow, "Go on with what comes, until interrupted");
    logs->add_option("--since", logs_.since, "Only lines that are not older, such as 10m")->check(duration())->type_name("DURATION");
    logs->add_option("--tail", logs_.tail, "At most so many lines of each container, the newest")
        ->check(whole_number(0, 1'000'000))
        ->type_name("N");
    logs->add_flag("--all-replicas", logs_.all_replicas, "Every replica of the services instead of the first");
    logs->add_flag("--timestamps", logs_.timestamps, "With the time of each line");

    auto* exec = add(&app_, "exec", "Run a command in a running container: prunella exec INSTANCE -- COMMAND",
                     "  prunella exec popcorn.web-1 -- ls -l /srv\n"
                     "  prunella exec -it popcorn.web-1 -- sh          a shell\n"
                     "  prunella exec -it popcorn.web-1/front -- top   in one of its containers\n"
                     "  prunella exec -i popcorn.db-1 -- psql < dump.sql\n\n"
                     "The exit code is that of the command. It ends when this program does.",
                     [this] {
                       exec_.connection = connection_;
                       if (exec_.command.empty())
                         return refuse("the command is missing", "write it behind two dashes: `prunella exec " + exec_.name + " -- ls`");
                       return run_exec(exec_, io_);
                     });
    exec->add_option("INSTANCE", exec_.name, "INSTANCE or INSTANCE/CONTAINER")->required()->check(some_text())->type_name("");
    exec->add_flag("-i,--input", exec_.input, "Pass on what is typed or piped in");
    exec->add_flag("-t,--tty", exec_.terminal, "Give it a terminal");

    auto* run = add(&app_, "run", "Run a command once, in a container made as a service's: prunella run APPLICATION/SERVICE -- COMMAND",
                    "  prunella run shop/db -- pg_dump shop\n"
                    "  prunella run popcorn/web -- sh -c 'ls -l; env'\n\n"
                    "It has the image, environment, volumes and limits of the service's first container, no input, and is removed "
                    "afterwards. The exit code is that of the command.",
                    [this] {
                      exec_.connection = connection_;
                      exec_.task = true;
                      if (exec_.command.empty())
                        return refuse("the command is missing", "write it behind two dashes: `prunella run " + exec_.name + " -- ls`");
                      return run_exec(exec_, io_);
                    });
    run->add_option("APPLICATION/SERVICE", exec_.name, "As whose containers it is made")->required()->check(some_text())->type_name("");
  }

  int refuse(const std::string& what, const std::string& fix) {
    io_.err << "prunella: " << printable(what) << "\n  fix: " << printable(fix) << '\n';
    return exit_usage;
  }

  int refuse_delete() {
    return refuse("only applications can be deleted, so `" + delete_words_[0] + "` is not expected",
                  "write `prunella delete application " + delete_words_[1] + '`');
  }

  /// An option that the list does not have would be dropped in silence.
  int refuse_get() {
    const bool is_events = get_.what == "events";
    const auto* wrong = !get_.application.empty() && get_.what != "instances" ? "--application"
                        : get_.limit > 0 && !is_events                       ? "--limit"
                        : !get_.after.empty() && !is_events                  ? "--after"
                                                                             : nullptr;
    if (!wrong)
      return exit_ok;
    return refuse(std::string("`") + wrong + "` says nothing about " + get_.what,
                  std::string("leave it out, or write `prunella get ") +
                      (std::string_view(wrong) == "--application" ? "instances" : "events") + ' ' + wrong + " …`");
  }

  void add_files() {
    auto* files = app_.add_subcommand("config", "Check config files");
    files->require_subcommand(1);
    auto* validate =
        add(files, "validate", "Report every problem in config files, with its place",
            "  prunella config validate site.yaml popcorn.yaml", [this] { return run_validate(validate_, io_); });
    validate->add_option("FILE", validate_.files, "YAML or JSON; `-` is standard input")->required()->type_name("FILE");

    add(&app_, "version", "Print the version", "  prunella version", [this] {
      io_.out << "prunella " << PRUNELLA_VERSION << '\n';
      return exit_ok;
    });
  }

  void add_images() {
    auto* image = app_.add_subcommand("image", "Bring images to a site that has no registry at hand");
    image->require_subcommand(1);
    auto* import = add(image, "import", "Import an OCI layout folder or an archive on this host; the site copies it on",
                       "  prunella image import web.tar --name registry.example/shop/web:1.2\n"
                       "  prunella image import /media/usb/layout --name registry.example/shop/web:1.2",
                       [this] {
                         image_import_.connection = connection_;
                         return run_image_import(image_import_, io_);
                       });
    import->add_option("FILE|FOLDER", image_import_.path, "From `docker save`, `podman save` or `skopeo copy`")
        ->required()
        ->check(some_text())
        ->type_name("");
    import->add_option("--name", image_import_.name, "What applications call it; if left out, as the file says")
        ->check(some_text())
        ->type_name("REFERENCE");
  }

  /// Only what the program brought along: the command line is also built without an agent.
  void add_agent() {
    if (agent_.site_init && agent_.site_up)
      add_site();
    if (agent_.host_run)
      add_host();
  }

  void add_site() {
    auto* site = app_.add_subcommand("site", "Prepare and run a site on this machine");
    site->require_subcommand(1);
    auto* init =
        add(site, "init", "Make the site's certificate authority and an identity per host",
            "  prunella site init -f site.yaml --dir ./identities", [this] { return agent_.site_init(site_init_); });
    init->add_option("-f,--file", site_init_.file, "The site: YAML with `kind: site`")->required()->type_name("FILE");
    init->add_option("--dir", site_init_.dir, "Where to write keys and certificates")
        ->required()
        ->check(some_text())
        ->type_name("DIR");
    auto* up = add(site, "up", "Run all hosts of a site on this machine, until interrupted",
                   "  prunella site up -f config/examples/shop.yaml\n"
                   "  prunella site up -f site.yaml --data-dir /var/lib/prunella --api-port 7070",
                   [this] { return agent_.site_up(site_up_); });
    up->add_option("-f,--file", site_up_.file, "The site: YAML with `kind: site`")->required()->type_name("FILE");
    up->add_option("--data-dir", site_up_.data_dir, "Where hosts keep their data; the same one resumes")
        ->check(some_text())
        ->type_name("DIR");
    up->add_option("--api-port", site_up_.api_port,
                   "API port of the first host; the others count up from it; 0: free ones")
        ->check(whole_number(0, 65'535))
        ->capture_default_str()
        ->type_name("PORT");
  }

  void add_host() {
    auto* host = app_.add_subcommand("host", "Run or repair one host");
    host->require_subcommand(1);
    auto* run = add(host, "run", "Run the agent of one host, until interrupted",
                    "  prunella host run --site site.yaml --host-id host-1 --data-dir /var/lib/prunella "
                    "--api 127.0.0.1:7070",
                    [this] {
                      host_run_.stop_containers = on_exit_ == "stop";
                      return agent_.host_run(host_run_);
                    });
    run->add_option("--site", host_run_.site_file, "The site: YAML with `kind: site`")->required()->type_name("FILE");
    run->add_option("--host-id", host_run_.host_id, "Which of the site's hosts this is")
        ->required()
        ->check(some_text())
        ->type_name("ID");
    run->add_option("--data-dir", host_run_.data_dir, "Where this host keeps its data")
        ->required()
        ->check(some_text())
        ->type_name("DIR");
    run->add_option("--api", host_run_.api, "Where its API listens, on loopback; port 0 takes a free one")
        ->required()
        ->type_name("ADDRESS:PORT");
    run->add_option("--on-exit", on_exit_, "When interrupted: keep what runs for the next agent, or stop it")
        ->check(one_of({"keep", "stop"}))
        ->type_name("keep|stop")
        ->default_str("keep");
    run->add_option("--registry-auth", host_run_.registry_auth,
                    "Pull secrets, as `skopeo login --authfile` writes them; if left out, DATA_DIR/registry-auth.json")
        ->check(some_text())
        ->type_name("FILE");
    run->add_option("--registry-certs", host_run_.registry_certs, "Folder with the `ca.crt` of registries")
        ->check(some_text())
        ->type_name("DIR");
    run->add_option("--insecure-registry", host_run_.insecure_registries,
                    "Registry on the own network that speaks plain HTTP; repeatable")
        ->expected(1)
        ->take_all()
        ->check(some_text())
        ->type_name("HOST:PORT");
    if (!agent_.host_repair)
      return;
    auto* repair = add(host, "repair", "Make a damaged consensus log readable again, keeping a copy of it",
                       "  prunella host repair --site site.yaml --host-id host-1 --data-dir /var/lib/prunella",
                       [this] { return agent_.host_repair(host_repair_); });
    repair->add_option("--site", host_repair_.site_file, "The site: YAML with `kind: site`")->required()->type_name("FILE");
    repair->add_option("--host-id", host_repair_.host_id, "Which of the site's hosts this is")
        ->required()
        ->check(some_text())
        ->type_name("ID");
    repair->add_option("--data-dir", host_repair_.data_dir, "Where this host keeps its data")
        ->required()
        ->check(some_text())
        ->type_name("DIR");
  }

  void add_console() {
    add(&app_, "console", "Type commands one after the other, with history and Tab completion",
        "  prunella console\n  echo 'scale popcorn/web 3' | prunella console", [this] {
          const auto connection = connection_;
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
    io_.err << "\n  fix: `" << command << " --help` shows how it is used, with examples\n";
    return exit_usage;
  }

  terminal& io_;
  const agent_commands agent_;
  connection_options connection_;
  std::string timeout_;
  std::string endpoints_;
  CLI::App app_{"Keeps containerised applications running at edge sites."};
  CLI::Option* endpoint_ = nullptr;
  CLI::Option* timeout_option_ = nullptr;
  std::string output_ = "table";
  get_options get_;
  tree_options tree_;
  status_options status_;
  path_options path_;
  apply_options apply_;
  scale_options scale_;
  rollback_options rollback_;
  delete_options delete_;
  std::vector<std::string> delete_words_;
  logs_options logs_;
  exec_options exec_;
  validate_options validate_;
  image_import_options image_import_;
  site_init_options site_init_;
  site_up_options site_up_;
  host_run_options host_run_;
  host_repair_options host_repair_;
  std::string on_exit_ = "keep";
  std::function<int()> chosen_ = [] { return exit_usage; };
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
  io.interactive = output_is_tty && ::isatty(STDIN_FILENO) != 0;
  return exit_code(run_words_of({argv + 1, argv + argc}, io, agent), std::cout, std::cerr);
}

} // namespace prunella::tools
