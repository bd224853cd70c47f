// What links cost: two actor systems in this process with real TLS on loopback. Prints `name value unit`.
//
//   bench_links [seconds per figure, default 2]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "net/links.hpp"

using namespace prunella::net;

namespace {

using seconds = std::chrono::duration<double>;

struct bench_question {
  std::uint64_t number = 0;
  std::string data;

  PRUNELLA_FIELDS(bench_question, number, data)
};

struct bench_reply {
  std::uint64_t number = 0;

  PRUNELLA_FIELDS(bench_reply, number)
};

struct config_type : caf::actor_system_config {
  config_type() {
    load<caf::io::middleman>();
    set("scheduler.max-threads", std::size_t{2});
    add_message_type<bench_question>("bench_question");
    add_message_type<bench_reply>("bench_reply");
  }
};

caf::behavior answer(caf::event_based_actor*) {
  return {[](const bench_question& asked) { return bench_reply{asked.number}; }};
}

void print(const std::string& name, double value, const char* unit) {
  std::printf("%-40s %12.1f %s\n", name.c_str(), value, unit);
}

/// One request after the other: the median time of an answer.
double ask_latency_us(caf::actor_system& system, const caf::actor& target, const std::string& data, seconds length) {
  caf::scoped_actor self(system);
  std::vector<double> samples;
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < length) {
    const auto before = std::chrono::steady_clock::now();
    self->request(target, std::chrono::seconds(10), bench_question{1, data})
      .receive([](const bench_reply&) {}, [&](const caf::error& failed) {
        std::fprintf(stderr, "bench_links: %s\n", describe(failed).c_str());
        std::exit(1);
      });
    samples.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - before).count());
  }
  std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2), samples.end());
  return samples[samples.size() / 2];
}

/// `outstanding` requests at a time: answers per second.
double pipe_rate(caf::actor_system& system, const caf::actor& target, const std::string& data, int outstanding,
                 seconds length) {
  caf::scoped_actor self(system);
  const auto start = std::chrono::steady_clock::now();
  const auto end = start + std::chrono::duration_cast<std::chrono::steady_clock::duration>(length);
  system.spawn([=, done = caf::actor_cast<caf::actor>(self)](caf::event_based_actor* driver) {
    auto answered = std::make_shared<std::uint64_t>(0);
    auto waiting = std::make_shared<int>(outstanding);
    auto next = std::make_shared<std::function<void()>>();
    *next = [=] {
      driver->request(target, std::chrono::seconds(10), bench_question{1, data})
        .then(
          [=](const bench_reply&) {
            ++*answered;
            if (std::chrono::steady_clock::now() < end)
              (*next)();
            else if (--*waiting == 0)
              driver->send(done, *answered);
          },
          [=](const caf::error& failed) {
            std::fprintf(stderr, "bench_links: %s\n", describe(failed).c_str());
            std::exit(1);
          });
    };
    for (int i = 0; i < outstanding; ++i)
      (*next)();
    driver->attach_functor([next] { *next = nullptr; });
  });
  double rate = 0;
  self->receive([&](std::uint64_t answered) {
    rate = static_cast<double>(answered) / seconds(std::chrono::steady_clock::now() - start).count();
  });
  return rate;
}

void measure(const std::string& name, caf::actor_system& system, const caf::actor& target, seconds length) {
  for (const auto& [size, label] : {std::pair{std::size_t{8}, "8B"}, {std::size_t{1024}, "1KiB"}}) {
    const std::string data(size, 'x');
    print(name + "_ask_p50_" + label, ask_latency_us(system, target, data, length), "us");
    print(name + "_pipe64_" + label, pipe_rate(system, target, data, 64, length), "1/s");
  }
  print(name + "_pipe512_1KiB", pipe_rate(system, target, std::string(1024, 'x'), 512, length), "1/s");
}

} // namespace

int main(int argc, char** argv) {
  const seconds length(argc > 1 ? std::atof(argv[1]) : 2.0);
  std::string pattern = (std::filesystem::temp_directory_path() / "bench-links-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    return 1;
  const std::filesystem::path dir = pattern;
  create_site_identity(dir / "site", "bench", {"host-1", "host-2"});
  const auto options = [&](const std::string& host) {
    link_options result;
    result.host = host;
    result.identity = load_identity(host_identity_dir(dir / "site", host), host);
    result.listen = "127.0.0.1:0";
    return result;
  };
  config_type config_a, config_b;
  caf::actor_system a(config_a), b(config_b);
  const auto answerer = b.spawn(answer);
  {
    auto given = options("host-2");
    given.peers = {{"host-1", "127.0.0.1:1"}};
    given.exports["answerer"] = {[answerer] { return answerer; }, {"bench_question"}};
    const auto there = make_links(b, given);
    const auto there_io = there->start();
    caf::scoped_actor self_b(b);
    std::string address;
    self_b->request(there_io, std::chrono::seconds(10), get_link_status{})
      .receive([&](const link_status& status) { address = status.listen; }, [](const caf::error&) { std::exit(1); });
    given = options("host-1");
    given.peers = {{"host-2", address}};
    const auto here = make_links(a, given);
    const auto here_io = here->start();
    measure("links_tls", a, here->remote("host-2", "answerer"), length);
    caf::anon_send_exit(here_io, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(there_io, caf::exit_reason::user_shutdown);
  }
  caf::anon_send_exit(answerer, caf::exit_reason::user_shutdown);
  std::filesystem::remove_all(dir);
}
