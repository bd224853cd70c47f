#pragma once

// A whole consensus group of real actors in one thread on virtual time: memory disks that can be slow, full or broken,
// and a network that loses and cuts. Killing a member keeps its disk.

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>

#include "runtime/consensus/consensus_actor.hpp"
#include "runtime/consensus/log_writer.hpp"
#include "tests/runtime/virtual_time.hpp"

namespace prunella::tests {

using namespace runtime;
using namespace std::chrono_literals;

/// What survives the end of a member.
struct memory_disk {
  storage::raft_log_contents contents;
  std::uint64_t appends = 0; ///< transactions, each with a sync
  std::string fault;         ///< every call fails with it while it is not empty
  storage::storage_errc fault_code = storage::storage_errc::io_failed;
  std::string append_fault; ///< appends find a full disk while it is not empty
};

/// storage::raft_log's contract over a memory_disk.
class memory_log : public storage::raft_log {
public:
  explicit memory_log(std::shared_ptr<memory_disk> disk) : disk_(std::move(disk)) {}

  storage::result<storage::raft_log_contents> load() override {
    if (!disk_->fault.empty())
      return storage::storage_error{disk_->fault_code, disk_->fault};
    return disk_->contents;
  }
  storage::result<void> append(const storage::raft_log_batch& batch) override {
    auto& kept = disk_->contents.entries;
    if (!disk_->fault.empty())
      return storage::storage_error{disk_->fault_code, disk_->fault};
    if (!disk_->append_fault.empty())
      return storage::storage_error{storage::storage_errc::disk_full, disk_->append_fault};
    while (batch.truncate_from != 0 && !kept.empty() && kept.back().index >= batch.truncate_from)
      kept.pop_back();
    for (const auto& entry : batch.entries) {
      if (entry.index != last_index() + 1)
        return storage::storage_error{storage::storage_errc::invalid_argument,
                                      "a gap before " + std::to_string(entry.index)};
      kept.push_back(entry);
    }
    compact(batch.compact_to);
    if (batch.has_state)
      disk_->contents.state = batch.state;
    ++disk_->appends;
    return {};
  }
  storage::result<void> save_snapshot(const raft_snapshot& snapshot) override {
    if (!disk_->fault.empty())
      return storage::storage_error{disk_->fault_code, disk_->fault};
    bool leads_there = disk_->contents.compacted_index == snapshot.index;
    for (const auto& entry : disk_->contents.entries)
      leads_there = leads_there || (entry.index == snapshot.index && entry.term == snapshot.term);
    if (!leads_there) {
      disk_->contents.entries.clear();
      disk_->contents.compacted_index = snapshot.index;
      disk_->contents.compacted_term = snapshot.term;
    }
    disk_->contents.snapshot = snapshot;
    return {};
  }
  std::uint64_t first_index() const override { return disk_->contents.compacted_index + 1; }
  std::uint64_t last_index() const override { return disk_->contents.compacted_index + disk_->contents.entries.size(); }

private:
  void compact(std::uint64_t up_to) {
    auto& kept = disk_->contents.entries;
    while (!kept.empty() && kept.front().index <= up_to) {
      disk_->contents.compacted_index = kept.front().index;
      disk_->contents.compacted_term = kept.front().term;
      kept.erase(kept.begin());
    }
  }

  std::shared_ptr<memory_disk> disk_;
};

/// Keeps the commands it was given, in order; forgets them at its end (what is below the log survives by the log).
class list_machine : public replicated_state_machine {
public:
  std::uint64_t applied_index() const override { return applied_; }
  storage::result<std::vector<std::string>> apply(const std::vector<shared_entry>& entries) override {
    std::vector<std::string> results;
    for (const auto& entry : entries) {
      if (entry->kind == entry_kind::command)
        commands.push_back(entry->data);
      applied_ = entry->index;
      results.push_back("done: " + entry->data);
    }
    return results;
  }
  storage::result<std::string> take_snapshot() override {
    std::string data;
    for (const auto& command : commands)
      data += command + "\n";
    ++snapshots;
    return data;
  }
  storage::result<void> restore(const raft_snapshot& snapshot) override {
    commands.clear();
    for (std::size_t begin = 0; begin < snapshot.data.size();) {
      const auto end = snapshot.data.find('\n', begin);
      commands.push_back(snapshot.data.substr(begin, end - begin));
      begin = end + 1;
    }
    applied_ = snapshot.index;
    ++restores;
    return {};
  }

  std::vector<std::string> commands;
  int snapshots = 0;
  int restores = 0;

private:
  std::uint64_t applied_ = 0;
};

class actor_group {
public:
  struct member {
    std::shared_ptr<memory_disk> disk = std::make_shared<memory_disk>();
    std::shared_ptr<list_machine> machine;
    caf::actor writer;
    caf::actor consensus;
    std::chrono::milliseconds disk_delay{0};
    std::vector<std::string> stalls; ///< what its log writer told, in order; empty: there is room again
  };

  explicit actor_group(std::uint64_t size, std::uint64_t seed = 1, std::function<void(consensus_options&)> adjust = {})
      : world({0, 1'000'000, 1'000'000, [](caf::actor_system_config& c) { add_consensus_errors(c); }}),
        adjust_(std::move(adjust)), random_(seed) {
    for (member_id id = 1; id <= size; ++id)
      founding_.voters.push_back(id);
    for (member_id id = 1; id <= size; ++id)
      start(id, true);
    world.settle();
  }

  void start(member_id id, bool founding = false) {
    auto& m = members_[id];
    m.machine = std::make_shared<list_machine>();
    log_writer_options log;
    log.open = [this, id, disk = m.disk]() -> storage::result<std::unique_ptr<storage::raft_log>> {
      if (open_log)
        return open_log(id);
      return std::unique_ptr<storage::raft_log>(std::make_unique<memory_log>(disk));
    };
    log.detached = false;
    log.on_stalled = [this, id](const std::string& why) {
      members_[id].stalls.push_back(why);
      if (!why.empty())
        caf::anon_send(members_[id].consensus, transfer_leadership{0});
    };
    m.writer = world.own(spawn_log_writer(world.system(), std::move(log)));
    consensus_options options;
    options.raft.self = id;
    if (founding)
      options.raft.initial = founding_;
    options.seed = random_();
    options.log_writer = m.disk_delay.count() > 0 ? delayed(m.writer, m.disk_delay) : m.writer;
    options.machine = m.machine;
    options.send = [this](std::vector<raft_message> messages) {
      for (auto& message : messages)
        carry(std::move(message));
    };
    if (adjust_)
      adjust_(options);
    m.consensus = world.own(spawn_consensus(world.system(), std::move(options)));
  }

  void kill(member_id id) {
    caf::anon_send_exit(members_[id].consensus, caf::exit_reason::kill);
    caf::anon_send_exit(members_[id].writer, caf::exit_reason::kill);
    world.settle();
    members_[id].consensus = nullptr;
  }

  member& at(member_id id) { return members_.at(id); }

  consensus_status status(member_id id) {
    auto answer = world.ask<consensus_status>(at(id).consensus, 1s, get_consensus_status{});
    return answer ? *answer : consensus_status{};
  }

  /// The live member that leads the highest term; 0: none.
  member_id leader() {
    member_id found = 0;
    std::uint64_t term = 0;
    for (auto& [id, m] : members_)
      if (m.consensus)
        if (const auto s = status(id); s.role == raft_role::leader && s.term > term) {
          found = id;
          term = s.term;
        }
    return found;
  }

  /// Advances until somebody (else than `but_not`) leads, at most by `limit`; 0: nobody does.
  member_id wait_for_leader(std::chrono::milliseconds limit = 10s, member_id but_not = 0) {
    for (auto waited = 0ms; waited <= limit; waited += 10ms) {
      if (const auto id = leader(); id != 0 && id != but_not)
        return id;
      world.advance(10ms);
    }
    return 0;
  }

  caf::expected<command_applied> propose(member_id id, std::string data, std::chrono::milliseconds timeout = 0ms) {
    return world.ask<command_applied>(at(id).consensus, 60s, propose_command{std::move(data), timeout});
  }

  /// A request whose answer is looked at later.
  template <class Reply>
  struct pending {
    std::shared_ptr<std::vector<caf::expected<Reply>>> answer = std::make_shared<std::vector<caf::expected<Reply>>>();
    bool done() const { return !answer->empty(); }
    bool ok() const { return done() && static_cast<bool>(answer->front()); }
    caf::error error() const { return done() && !answer->front() ? answer->front().error() : caf::error{}; }
  };
  template <class Reply, class Request>
  pending<Reply> ask_later(member_id id, Request request) {
    pending<Reply> result;
    auto to = at(id).consensus;
    world.own(world.system().spawn([=](caf::event_based_actor* asker) {
      asker->request(to, std::chrono::seconds(120), request)
          .then([=](Reply& reply) { result.answer->push_back(std::move(reply)); },
                [=](caf::error& error) { result.answer->push_back(std::move(error)); });
    }));
    return result;
  }

  void cut(member_id id) { cut_.insert(id); }
  void heal() { cut_.clear(); }
  void lose(unsigned per_mille) { loss_ = per_mille; }

  /// Instead of a memory_disk, for members started from now on.
  std::function<storage::result<std::unique_ptr<storage::raft_log>>(member_id)> open_log;
  virtual_time world;

private:
  void carry(raft_message message) {
    const auto to = message.to;
    const auto found = members_.find(to);
    if (found == members_.end() || !found->second.consensus || cut_.count(to) != 0 || cut_.count(message.from) != 0 ||
        random_() % 1000 < loss_)
      return;
    const auto delay = std::chrono::milliseconds(1 + (loss_ > 0 ? random_() % 20 : 0));
    caf::delayed_anon_send(found->second.consensus, delay, std::move(message));
  }

  /// A log writer whose every write takes `delay` longer.
  caf::actor delayed(caf::actor writer, std::chrono::milliseconds delay) {
    return world.own(world.system().spawn([=](caf::event_based_actor* self) -> caf::behavior {
      auto client = std::make_shared<caf::actor>();
      return {
          [=](load_log& message) { return self->delegate(writer, message); },
          [=](log_write& message) {
            *client = caf::actor_cast<caf::actor>(self->current_sender());
            self->delayed_send(self, delay, std::move(message.request));
          },
          [=](std::shared_ptr<write_request>& request) { self->send(writer, log_write{std::move(request)}); },
          [=](const log_written& done) { self->send(*client, done); },
      };
    }));
  }

  std::function<void(consensus_options&)> adjust_;
  raft_membership founding_;
  std::map<member_id, member> members_;
  std::set<member_id> cut_;
  unsigned loss_ = 0;
  std::mt19937_64 random_;
};

} // namespace prunella::tests

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::shared_ptr<prunella::runtime::write_request>)
