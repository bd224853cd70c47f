// What links cost beside CAF's own network layer: two processes over loopback, our links with mutual TLS 1.3 and plain
// BASP (caf::io publish and remote_actor, no TLS), in turn, with the same actors, the same messages and the scheduler
// settings of the agent. Each figure is the median of all runs; a ratio is the median of the ratios within a run.
// Then a peer that is stopped: what flooding it costs.
//
//   bench_link [--seconds S, per figure and run: 0.4] [--runs N: 9] [--only ask|pipe|stopped] [--policy stealing]

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <malloc.h>
#include <unistd.h>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "net/links.hpp"
#include "tools/bench/child_process.hpp"
#include "tools/bench/figures.hpp"

using namespace prunella::net;
using namespace prunella::bench;

namespace {

using seconds = std::chrono::duration<double>;
constexpr auto patience = std::chrono::seconds(10);

struct bench_question {
  std::uint64_t number = 0;
  std::string data;

  PRUNELLA_FIELDS(bench_question, number, data)
};

struct bench_reply {
  std::uint64_t number = 0;

  PRUNELLA_FIELDS(bench_reply, number)
};

/// Also called in actors' threads, where an exception would end the actor only.
[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "bench_link: %s\n", why.c_str());
  std::_Exit(1);
}

struct config_type : caf::actor_system_config {
  explicit config_type(const std::string& policy) {
    load<caf::io::middleman>();
    set("scheduler.policy", caf::atom_from_string(policy));
    set("scheduler.max-threads", std::size_t{2});
    add_message_type<bench_question>("bench_question");
    add_message_type<bench_reply>("bench_reply");
  }
};

/// Host ids of the two ends; `identities` holds their keys.
link_options options_of(const std::string& identities, const std::string& host) {
  link_options result;
  result.host = host;
  result.identity = load_identity(host_identity_dir(identities, host), host);
  result.listen = "127.0.0.1:0";
  result.answer_types = {"bench_reply"};
  return result;
}

// -- the other process -----------------------------------------------------------------------------------------------

/// Prints the address of its links and the port of its BASP, and answers until it is killed.
[[noreturn]] void serve(const std::string& identities, const std::string& policy) {
  config_type config(policy);
  caf::actor_system system(config);
  const auto answerer = system.spawn([](caf::event_based_actor*) -> caf::behavior {
    return {[](const bench_question& asked) { return bench_reply{asked.number}; }};
  });
  auto given = options_of(identities, "host-2");
  given.peers = {{"host-1", "127.0.0.1:1"}}; // is dialed by it
  given.exports["answerer"] = {[answerer] { return answerer; }, {"bench_question"}, {}};
  const auto all = make_links(system, given);
  caf::scoped_actor self(system);
  self->request(all->start(), patience, get_link_status{})
    .receive([&](const link_status& status) { std::printf("%s\n", status.listen.c_str()); },
             [](const caf::error& failed) { stop(describe(failed)); });
  const auto port = system.middleman().publish(answerer, 0, "127.0.0.1");
  if (!port)
    stop("cannot publish over BASP");
  std::printf("%u\n", unsigned{*port});
  std::fflush(stdout);
  for (;;)
    ::pause();
}

// -- what is measured ------------------------------------------------------------------------------------------------

/// One request after the other: microseconds each.
std::vector<double> ask(caf::actor_system& system, const caf::actor& target, const std::string& data, seconds length) {
  caf::scoped_actor self(system);
  std::vector<double> samples;
  const auto start = clock_type::now();
  while (clock_type::now() - start < length) {
    const auto before = clock_type::now();
    self->request(target, patience, bench_question{1, data})
      .receive([](const bench_reply&) {}, [](const caf::error& failed) { stop(describe(failed)); });
    samples.push_back(std::chrono::duration<double, std::micro>(clock_type::now() - before).count());
  }
  return samples;
}

/// Keeps `outstanding` requests under way until `end`, then tells `done` how many were answered.
struct piper {
  piper(caf::event_based_actor* self, caf::actor to, std::string text, clock_type::time_point until, caf::actor tell)
      : self_(self), target_(std::move(to)), data_(std::move(text)), end_(until), done_(std::move(tell)) {}

  void next() {
    ++waiting_;
    self_->request(target_, patience, bench_question{1, data_})
      .then([this](const bench_reply&) { on_reply(); }, [](const caf::error& failed) { stop(describe(failed)); });
  }

  void on_reply() {
    --waiting_;
    ++answered_;
    if (clock_type::now() < end_)
      next();
    else if (waiting_ == 0)
      self_->send(done_, answered_);
  }

private:
  caf::event_based_actor* self_;
  caf::actor target_;
  std::string data_;
  clock_type::time_point end_;
  caf::actor done_;
  std::uint64_t answered_ = 0;
  int waiting_ = 0;
};

/// Answers per second with `outstanding` requests at a time.
double pipe(caf::actor_system& system, const caf::actor& target, const std::string& data, int outstanding, seconds length) {
  caf::scoped_actor self(system);
  const auto start = clock_type::now();
  const auto end = start + std::chrono::duration_cast<clock_type::duration>(length);
  system.spawn([=, done = caf::actor_cast<caf::actor>(self)](caf::event_based_actor* driver) {
    const auto requests = std::make_shared<piper>(driver, target, data, end, done);
    driver->attach_functor([requests] {}); // lives as long as the driver
    for (int i = 0; i < outstanding; ++i)
      requests->next();
  });
  double rate = 0;
  self->receive([&](std::uint64_t answered) {
    rate = static_cast<double>(answered) / seconds(clock_type::now() - start).count();
  });
  return rate;
}

/// Figures by name over all runs, in the order they came first.
struct series {
  void add(const std::string& name, double value, const char* unit) {
    if (values.count(name) == 0)
      order.emplace_back(name, unit);
    values[name].push_back(value);
  }
  void print_medians() const {
    for (const auto& [name, unit] : order)
      print(name, median(values.at(name)), unit);
  }

  std::vector<std::pair<std::string, const char*>> order;
  std::map<std::string, std::vector<double>> values;
};

struct both {
  caf::actor link;
  caf::actor basp;
};

void run_ask(caf::actor_system& system, const both& target, const std::string& label, std::size_t size, seconds length,
             series& out) {
  const std::string data(size, 'x');
  const auto link = ask(system, target.link, data, length);
  const auto basp = ask(system, target.basp, data, length);
  for (const auto& [p, name] : {std::pair{0.5, "p50"}, {0.99, "p99"}}) {
    out.add("link_ask_" + std::string(name) + "_" + label, percentile(link, p), "us");
    out.add("basp_ask_" + std::string(name) + "_" + label, percentile(basp, p), "us");
  }
  out.add("link_ask_to_basp_" + label, percentile(link, 0.5) / percentile(basp, 0.5), "ratio");
  out.add("link_ask_p99_to_basp_" + label, percentile(link, 0.99) / percentile(basp, 0.99), "ratio");
}

void run_pipe(caf::actor_system& system, const both& target, const std::string& label, std::size_t size, int outstanding,
              seconds length, series& out) {
  const std::string data(size, 'x');
  const auto link = pipe(system, target.link, data, outstanding, length);
  const auto basp = pipe(system, target.basp, data, outstanding, length);
  out.add("link_pipe_" + label, link, "1/s");
  out.add("basp_pipe_" + label, basp, "1/s");
  out.add("link_pipe_to_basp_" + label, link / basp, "ratio");
}

// -- a stopped peer --------------------------------------------------------------------------------------------------

double resident_mib() {
  std::ifstream file("/proc/self/statm");
  double pages = 0;
  file >> pages >> pages;
  return pages * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1024 * 1024);
}

/// Sends `mib` MiB in messages of 1 KiB to `target`, which does not read; returns by how much this process grew at most.
double flood(const caf::actor& target, int mib) {
  ::malloc_trim(0);
  const auto before = resident_mib();
  double most = before;
  for (int i = 0; i < mib; ++i) {
    for (int k = 0; k < 1024; ++k)
      caf::anon_send(target, bench_question{1, std::string(1000, 'x')});
    most = std::max(most, resident_mib());
  }
  return most - before;
}

void run_stopped(caf::actor_system& system, const both& target, pid_t peer) {
  constexpr int sent_mib = 64;
  const link_limits limits;
  const auto bound = static_cast<double>(limits.send_queue_bytes + limits.write_watermark) / (1024 * 1024);
  ::kill(peer, SIGSTOP);
  const auto growth = flood(target.link, sent_mib);
  caf::scoped_actor self(system);
  std::vector<double> refused;
  for (int i = 0; i < 1000; ++i) {
    const auto before = clock_type::now();
    self->request(target.link, patience, bench_question{1, std::string(1000, 'x')})
      .receive([](const bench_reply&) { stop("a stopped peer answered"); },
               [](const caf::error& failed) {
                 if (failed != link_errc::queue_full)
                   stop("a full queue was reported as: " + describe(failed));
               });
    refused.push_back(std::chrono::duration<double, std::micro>(clock_type::now() - before).count());
  }
  print("link_stopped_peer_sent", sent_mib, "MiB");
  print("link_stopped_peer_rss_growth", growth, "MiB");
  print("link_stopped_peer_queue_bound", bound, "MiB");
  print("link_stopped_peer_to_bound", growth / bound, "ratio");
  print("link_stopped_peer_error_p99", percentile(refused, 0.99), "us");
  print("basp_stopped_peer_rss_growth", flood(target.basp, sent_mib), "MiB");
  ::kill(peer, SIGCONT);
}

// -- this process ----------------------------------------------------------------------------------------------------

struct arguments {
  seconds length{0.4};
  int runs = 9;
  std::string only;
  std::string policy = "sharing"; ///< of CAF's scheduler; as in the agent
};

arguments read(int argc, char** argv) {
  arguments result;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string word = argv[i];
    if (word == "--seconds")
      result.length = seconds(std::atof(argv[i + 1]));
    else if (word == "--runs")
      result.runs = std::atoi(argv[i + 1]);
    else if (word == "--only")
      result.only = argv[i + 1];
    else if (word == "--policy")
      result.policy = argv[i + 1];
    else
      stop("unknown option " + word + "; there are --seconds, --runs, --only and --policy");
  }
  if (result.length.count() <= 0 || result.runs <= 0)
    stop("--seconds and --runs are numbers above 0");
  return result;
}

void measure(caf::actor_system& system, const both& target, const arguments& given, pid_t peer) {
  const auto wants = [&](const char* what) { return given.only.empty() || given.only == what; };
  series figures;
  for (int run = 0; run < given.runs; ++run)
    for (const auto& [label, size] : {std::pair{"8B", std::size_t{8}}, {"1KiB", std::size_t{1024}}}) {
      if (wants("ask"))
        run_ask(system, target, label, size, given.length, figures);
      if (wants("pipe"))
        run_pipe(system, target, label, size, 64, given.length, figures);
    }
  figures.print_medians();
  if (wants("stopped"))
    run_stopped(system, target, peer);
}

void run(const arguments& given, const std::string& identities) {
  child_process peer({"/proc/self/exe", "--serve", identities, given.policy}, child_process::talk::lines, {});
  const auto address = peer.line(patience);
  const auto port = static_cast<std::uint16_t>(std::stoul(peer.line(patience)));
  config_type config(given.policy);
  caf::actor_system system(config);
  auto options = options_of(identities, "host-1");
  options.peers = {{"host-2", address}};
  const auto all = make_links(system, options);
  const auto io = all->start();
  const auto basp = system.middleman().remote_actor("127.0.0.1", port);
  if (!basp)
    stop("cannot connect over BASP");
  both target{all->remote("host-2", "answerer"), *basp};
  measure(system, target, given, peer.pid());
  caf::anon_send_exit(io, caf::exit_reason::user_shutdown);
}

} // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "--serve")
    serve(argv[2], argv[3]);
  const auto given = read(argc, argv);
  std::string folder = (std::filesystem::temp_directory_path() / "bench-link-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr)
    stop("no temporary directory");
  clean_up_when_interrupted(folder);
  create_site_identity(folder + "/site", "bench", {"host-1", "host-2"});
  int code = 0;
  try {
    run(given, folder + "/site");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_link: %s\n", error.what());
    code = 1;
  }
  std::filesystem::remove_all(folder);
  return code;
}
