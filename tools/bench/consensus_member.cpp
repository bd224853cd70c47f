#include "tools/bench/consensus_member.hpp"

#include <chrono>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <iostream>
#include <map>
#include <random>
#include <sstream>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/atom.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "net/links.hpp"
#include "runtime/consensus/consensus_actor.hpp"
#include "runtime/consensus/log_writer.hpp"
#include "runtime/liveness.hpp"
#include "storage/cereal_bytes.hpp"
#include "tools/bench/figures.hpp"

namespace prunella::bench {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t command_bytes = 1024;
constexpr std::uint64_t key_count = 1000;

struct config_type : caf::actor_system_config {
  config_type() {
    load<caf::io::middleman>();
    set("scheduler.policy", caf::atom("sharing")); // as the agent
    set("scheduler.max-threads", std::size_t{2});
    add_message_type<runtime::raft_message>("raft_message");
    add_message_type<runtime::propose_command>("propose_command");
    add_message_type<runtime::command_applied>("command_applied");
    runtime::add_consensus_errors(*this);
  }
};

/// Keeps the last command of each of a thousand keys, in memory: its snapshot is one MiB.
class key_machine : public runtime::replicated_state_machine {
public:
  std::uint64_t applied_index() const override { return applied_; }

  storage::result<std::vector<std::string>> apply(const std::vector<runtime::shared_entry>& entries) override {
    for (const auto& entry : entries) {
      if (entry->kind == storage::entry_kind::command && entry->data.size() >= sizeof(std::uint64_t)) {
        std::uint64_t number = 0;
        entry->data.copy(reinterpret_cast<char*>(&number), sizeof number);
        values_[number % key_count] = entry->data;
      }
      applied_ = entry->index;
    }
    return std::vector<std::string>(entries.size());
  }

  storage::result<std::string> take_snapshot() override { return storage::to_bytes(values_); }

  storage::result<void> restore(const runtime::raft_snapshot& snapshot) override {
    if (!storage::from_bytes(snapshot.data, values_))
      return storage::storage_error{storage::storage_errc::damaged, "the snapshot is not this benchmark's"};
    applied_ = snapshot.index;
    return {};
  }

private:
  std::uint64_t applied_ = 0;
  std::map<std::uint64_t, std::string> values_;
};

struct load_result {
  std::uint64_t commands = 0;
  std::uint64_t failed = 0;
  double seconds = 0;
  std::vector<double> latencies_us;
};

/// Keeps `outstanding` commands under way at `target` for `length`, after a warm-up that does not count.
class load_client {
public:
  load_client(caf::event_based_actor* self, caf::actor target, int outstanding, std::chrono::duration<double> length,
              std::function<void(load_result)> done)
      : self_(self), target_(std::move(target)), waiting_(outstanding), done_(std::move(done)) {
    begin_ = clock_type::now() + 300ms;
    end_ = begin_ + std::chrono::duration_cast<clock_type::duration>(length);
    for (int i = 0; i < outstanding; ++i)
      next();
  }

private:
  void next() {
    const auto sent = clock_type::now();
    std::string data(command_bytes, 'x');
    ++number_;
    data.replace(0, sizeof number_, reinterpret_cast<const char*>(&number_), sizeof number_);
    // Without a time-out of its own, which would cost a turn of CAF's clock thread per command: consensus answers within
    // the command's, and whoever runs this benchmark does not wait for ever.
    self_->request(target_, caf::infinite, runtime::propose_command{std::move(data), 10s})
        .then([this, sent](const runtime::command_applied&) { answered(sent, true); },
              [this, sent](const caf::error&) { answered(sent, false); });
  }

  void answered(clock_type::time_point sent, bool ok) {
    const auto now = clock_type::now();
    if (now >= begin_ && now < end_) {
      result_.commands += ok ? 1 : 0;
      result_.failed += ok ? 0 : 1;
      result_.latencies_us.push_back(std::chrono::duration<double, std::micro>(now - sent).count());
    }
    if (now < end_)
      return next();
    if (--waiting_ == 0) {
      result_.seconds = std::chrono::duration<double>(end_ - begin_).count();
      done_(std::move(result_));
    }
  }

  caf::event_based_actor* self_;
  caf::actor target_;
  int waiting_;
  std::function<void(load_result)> done_;
  clock_type::time_point begin_, end_;
  std::uint64_t number_ = 0;
  load_result result_;
};

/// Proposes one command each time this member becomes leader and says when it is committed.
caf::behavior claimer(caf::event_based_actor* self, const caf::actor& consensus) {
  self->send(consensus, runtime::subscribe_consensus{true, false});
  return {[=](const runtime::leadership_changed& now) {
    if (now.role != runtime::raft_role::leader)
      return;
    self->request(consensus, 10s, runtime::propose_command{std::string(command_bytes, 'c'), 10s})
        .then(
            [term = now.term](const runtime::command_applied&) {
              const auto at = clock_type::now().time_since_epoch();
              std::printf("led %llu %lld\n", static_cast<unsigned long long>(term),
                          static_cast<long long>(std::chrono::duration_cast<std::chrono::nanoseconds>(at).count()));
              std::fflush(stdout);
            },
            [](const caf::error&) {}); // deposed at once; its successor claims
  }};
}

/// As the agent's link watch: a lost connection to the leader starts the election.
caf::behavior link_watch(caf::event_based_actor* self, const caf::actor& links, const caf::actor& consensus,
                         const std::map<std::string, storage::member_id>& ids) {
  self->send(links, net::subscribe_links{caf::actor_cast<caf::actor>(self)});
  return {[](const net::link_up&) {}, [](const net::link_problem&) {},
          [=](const net::link_down& down) { self->send(consensus, runtime::peer_lost{ids.at(down.host)}); }};
}

class member {
public:
  member(const std::filesystem::path& folder, std::string host, const runtime::liveness_figures& figures)
      : folder_(folder), host_(std::move(host)), system_(config_), self_(system_) {
    for (int i = 1; i <= group_size; ++i)
      ids_[member_name(i)] = static_cast<storage::member_id>(i);
    start_links();
    start_consensus(figures);
  }

  std::string listen() {
    return ask<net::link_status>(io_, net::get_link_status{}).listen;
  }

  std::string obey(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    if (verb == "peers")
      return set_peers(words);
    if (verb == "load")
      return load(words);
    if (verb == "status")
      return status();
    return "unknown " + verb;
  }

private:
  template <class Answer, class Question>
  Answer ask(const caf::actor& whom, Question question) {
    Answer answer;
    self_->request(whom, 10s, std::move(question))
        .receive([&](Answer& x) { answer = std::move(x); },
                 [&](const caf::error& failed) { throw std::runtime_error(system_.render(failed)); });
    return answer;
  }

  void start_links() {
    net::link_options options;
    options.host = host_;
    options.identity = net::load_identity(net::host_identity_dir(folder_ / "site", host_), host_);
    options.listen = "127.0.0.1:0";
    options.timeouts.backoff_max = 1s;
    options.exports["consensus"] = {[this] { return consensus_; }, {"raft_message", "propose_command"}, {}};
    options.answer_types = {"command_applied"};
    links_ = net::make_links(system_, options);
    io_ = links_->start();
    for (const auto& [host, id] : ids_)
      if (host != host_)
        remotes_[id] = links_->remote(host, "consensus");
  }

  void start_consensus(const runtime::liveness_figures& figures) {
    runtime::log_writer_options log;
    const auto id = ids_.at(host_);
    log.open = [path = (folder_ / (host_ + ".db")).string(), id] {
      return storage::open_raft_log(path, {"bench", id});
    };
    log_ = runtime::spawn_log_writer(system_, std::move(log));
    runtime::consensus_options options;
    options.raft.self = id;
    for (const auto& [host, voter] : ids_)
      options.raft.initial.voters.push_back(voter);
    options.raft.heartbeat_ticks = figures.raft_heartbeat_ticks;
    options.raft.election_ticks = figures.raft_election_ticks;
    options.raft.heartbeats_per_answer = figures.heartbeats_per_answer;
    options.tick_interval = figures.raft_tick;
    options.seed = std::random_device{}();
    options.log_writer = log_;
    options.machine = std::make_shared<key_machine>();
    options.detached = true; // as the agent
    options.send = [this](std::vector<runtime::raft_message> messages) {
      const net::send_burst together;
      for (auto& message : messages) {
        const auto to = message.to;
        caf::anon_send(remotes_.at(to), std::move(message));
      }
    };
    consensus_ = runtime::spawn_consensus(system_, std::move(options));
    claimer_ = system_.spawn(claimer, consensus_);
    watch_ = system_.spawn(link_watch, io_, consensus_, ids_);
  }

  std::string set_peers(std::istringstream& words) {
    net::set_peers peers;
    for (std::string word; words >> word;) {
      const auto equals = word.find('=');
      peers.peers.push_back({word.substr(0, equals), word.substr(equals + 1)});
    }
    self_->send(io_, std::move(peers));
    return "ok";
  }

  std::string load(std::istringstream& words) {
    std::string host;
    int outstanding = 0;
    double seconds = 0;
    words >> host >> outstanding >> seconds;
    const auto target = host == host_ ? consensus_ : remotes_.at(ids_.at(host));
    load_result result;
    auto done = caf::actor_cast<caf::actor>(self_);
    system_.spawn([&, done](caf::event_based_actor* self) {
      auto client = std::make_shared<std::unique_ptr<load_client>>();
      *client = std::make_unique<load_client>(self, target, outstanding, std::chrono::duration<double>(seconds),
                                              [&result, done](load_result x) {
                                                result = std::move(x);
                                                caf::anon_send(done, true);
                                              });
      self->attach_functor([client] { client->reset(); });
    });
    self_->receive([](bool) {});
    std::ostringstream text;
    text << "load " << result.commands << ' ' << result.seconds << ' ' << percentile(result.latencies_us, 0.5) << ' '
         << percentile(result.latencies_us, 0.99) << ' ' << result.failed;
    return text.str();
  }

  std::string status() {
    const auto now = ask<runtime::consensus_status>(consensus_, runtime::get_consensus_status{});
    int matched = 0;
    for (const auto& peer : now.peers)
      matched += peer.active && peer.match == now.last_index ? 1 : 0;
    return std::string("status ") + runtime::to_text(now.role) + ' ' + std::to_string(now.leader) + ' ' +
           std::to_string(now.term) + ' ' + std::to_string(now.committed == now.last_index ? matched : 0);
  }

  std::filesystem::path folder_;
  std::string host_;
  std::map<std::string, storage::member_id> ids_;
  config_type config_;
  caf::actor_system system_;
  caf::scoped_actor self_;
  std::shared_ptr<net::links> links_;
  std::map<storage::member_id, caf::actor> remotes_;
  caf::actor io_, log_, consensus_, claimer_, watch_;
};

} // namespace

std::string member_name(int number) {
  return "member-" + std::to_string(number);
}

void run_consensus_member(const std::string& folder, const std::string& host, const std::string& profile) {
  try {
    const auto figures = runtime::figures_of(profile == "fast" ? config::liveness_profile::fast
                                                               : config::liveness_profile::balanced);
    member here(folder, host, figures);
    std::printf("listening %s\n", here.listen().c_str());
    std::fflush(stdout);
    for (std::string line; std::getline(std::cin, line);) {
      std::printf("%s\n", here.obey(line).c_str());
      std::fflush(stdout);
    }
    ::_exit(0); // as hard as a power cut; whoever told it to end removes its files
  } catch (const std::exception& failed) {
    std::fprintf(stderr, "bench_consensus: %s: %s\n", host.c_str(), failed.what());
    ::_exit(1); // actors of a half-made member would keep the process
  }
}

} // namespace prunella::bench
