#include <memory>

#include <CLI/CLI.hpp>

#include "tools/cli/grammar/grammar.hpp"
#include "tools/cli/grammar/validators.hpp"
#include "tools/cli/verbs.hpp"

namespace prunella::tools {

namespace {

void add_site_init(grammar& words, CLI::App* site, const agent_commands& agent) {
  const auto options = std::make_shared<site_init_options>();
  auto* init = words.add(site, "init", "Make the site's certificate authority and an identity per host",
                         "  prunella site init -f site.yaml --dir ./identities",
                         [options, run = agent.site_init] { return run(*options); });
  init->add_option("-f,--file", options->file, "The site: YAML with `kind: site`")->required()->type_name("FILE");
  init->add_option("--dir", options->dir, "Where to write keys and certificates")
    ->required()
    ->check(some_text())
    ->type_name("DIR");
}

void add_insecure_registry(CLI::App* command, std::vector<std::string>& registries) {
  command->add_option("--insecure-registry", registries, "Registry on the own network that speaks plain HTTP; repeatable")
    ->expected(1)
    ->take_all()
    ->check(some_text())
    ->type_name("HOST:PORT");
}

void add_site_up(grammar& words, CLI::App* site, const agent_commands& agent) {
  const auto options = std::make_shared<site_up_options>();
  auto* up = words.add(site, "up", "Run all hosts of a site on this machine, until interrupted",
                       "  prunella site up -f config/examples/shop.yaml\n"
                       "  prunella site up -f site.yaml --data-dir /var/lib/prunella --api-port 7070",
                       [options, run = agent.site_up] { return run(*options); });
  up->add_option("-f,--file", options->file, "The site: YAML with `kind: site`")->required()->type_name("FILE");
  up->add_option("--data-dir", options->data_dir, "Where hosts keep their data; the same one resumes")
    ->check(some_text())
    ->type_name("DIR");
  up->add_option("--api-port", options->api_port,
                 "API port of the first host; the others count up from it; 0: free ones")
    ->check(whole_number(0, 65'535))
    ->capture_default_str()
    ->type_name("PORT");
  add_insecure_registry(up, options->insecure_registries);
}

/// Which host of which site, and where it keeps its data: the same for all commands of a host.
template <class Options>
void add_whose(CLI::App* command, Options& options) {
  command->add_option("--site", options.site_file, "The site: YAML with `kind: site`")->required()->type_name("FILE");
  command->add_option("--host-id", options.host_id, "Which of the site's hosts this is")
    ->required()
    ->check(some_text())
    ->type_name("ID");
  command->add_option("--data-dir", options.data_dir, "Where this host keeps its data")
    ->required()
    ->check(some_text())
    ->type_name("DIR");
}

void add_host_run(grammar& words, CLI::App* host, const agent_commands& agent) {
  const auto options = std::make_shared<host_run_options>();
  auto* run = words.add(host, "run", "Run the agent of one host, until interrupted",
                        "  prunella host run --site site.yaml --host-id host-1 --data-dir /var/lib/prunella "
                        "--api 127.0.0.1:7070",
                        [options, run_host = agent.host_run] { return run_host(*options); });
  add_whose(run, *options);
  run->add_option("--api", options->api, "Where its API listens, on loopback; port 0 takes a free one")
    ->required()
    ->type_name("ADDRESS:PORT");
  run->add_option_function<std::string>("--on-exit",
                                        [options](const std::string& word) { options->stop_containers = word == "stop"; },
                                        "When interrupted: keep what runs for the next agent, or stop it")
    ->check(one_of({"keep", "stop"}))
    ->type_name("keep|stop")
    ->default_str("keep");
  run->add_option("--registry-auth", options->registry_auth,
                  "Pull secrets, as `skopeo login --authfile` writes them; if left out, DATA_DIR/registry-auth.json")
    ->check(some_text())
    ->type_name("FILE");
  run->add_option("--registry-certs", options->registry_certs, "Folder with the `ca.crt` of registries")
    ->check(some_text())
    ->type_name("DIR");
  add_insecure_registry(run, options->insecure_registries);
}

void add_host_repair(grammar& words, CLI::App* host, const agent_commands& agent) {
  const auto options = std::make_shared<host_repair_options>();
  auto* repair = words.add(host, "repair", "Make a damaged consensus log readable again, keeping a copy of it",
                           "  prunella host repair --site site.yaml --host-id host-1 --data-dir /var/lib/prunella",
                           [options, run = agent.host_repair] { return run(*options); });
  add_whose(repair, *options);
}

void add_drain(grammar& words, CLI::App* host, bool drained) {
  const auto options = std::make_shared<drain_options>();
  options->drained = drained;
  auto* drain = words.add(host, drained ? "drain" : "undrain",
                          drained ? "Let what runs on a host go elsewhere, and place nothing there, as before maintenance"
                                  : "Let a drained host have instances again",
                          drained ? "  prunella host drain till-2\n  prunella get instances   # until none is on till-2"
                                  : "  prunella host undrain till-2",
                          [&words, options] {
                            options->connection = words.connection;
                            return run_drain(*options, words.io);
                          });
  drain->add_option("HOST", options->host, "Which host, as `prunella get hosts` names it")->required()->type_name("");
}

} // namespace

void add_agent(grammar& words, const agent_commands& agent) {
  if (agent.site_init && agent.site_up) {
    auto* site = words.add_group("site", "Prepare and run a site on this machine");
    add_site_init(words, site, agent);
    add_site_up(words, site, agent);
  }
  auto* host = words.add_group("host", "Run, repair or drain one host");
  add_drain(words, host, true);
  add_drain(words, host, false);
  if (agent.host_run)
    add_host_run(words, host, agent);
  if (agent.host_repair)
    add_host_repair(words, host, agent);
}

} // namespace prunella::tools
