#include "runtime/consensus/log_writer.hpp"

#include <algorithm>
#include <utility>

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/behavior.hpp>
#include <caf/result.hpp>
#include <caf/spawn_options.hpp>
#include <caf/stateful_actor.hpp>

#include "runtime/consensus/consensus_actor.hpp"
#include "runtime/consensus/write_batch.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::runtime {

namespace {

/// To itself, behind everything that waits now.
struct write_gathered {
  bool now = true;

  PRUNELLA_FIELDS(write_gathered, now)
};

struct log_writer_state;
using log_writer_self = caf::stateful_actor<log_writer_state, supervised_actor>;

struct log_writer_state {
  static constexpr const char* name = "log_writer";

  explicit log_writer_state(log_writer_self* self_) : self(self_) {}

  bool open(const log_writer_options& options);
  void on_write(log_write& message);
  caf::result<log_contents> on_load(load_log& message);
  void keep_promises();
  /// Writes all that was gathered and answers. False: it failed, and the actor ends.
  bool write_gathered_requests();
  storage::result<void> write(std::vector<log_step> steps);
  void fail(const storage::storage_error& error);

  log_writer_self* self;
  std::unique_ptr<storage::raft_log> log;
  std::vector<write_request>
      gathered; // bounded by what a leader may have unapplied and what a follower's window admits
  std::uint64_t compaction_goal = 0; // forgotten at a restart; the next snapshot sets it anew
  caf::actor answer_to;
  std::function<void(member_id, raft_message)> send;
};

bool log_writer_state::open(const log_writer_options& options) {
  auto opened = options.open();
  if (!opened) {
    fail(opened.error());
    return false;
  }
  log = std::move(opened).value();
  if (options.say_ready)
    options.say_ready();
  return true;
}

void log_writer_state::on_write(log_write& message) {
  auto sender = caf::actor_cast<caf::actor>(self->current_sender());
  if (sender != answer_to && !write_gathered_requests()) // a predecessor's tickets are not the successor's
    return;
  answer_to = std::move(sender);
  if (gathered.empty())
    self->send(self, write_gathered{});
  gathered.push_back(std::move(*message.request));
}

caf::result<log_contents> log_writer_state::on_load(load_log& message) {
  if (!write_gathered_requests())
    return to_error(consensus_errc::log_failed, "it failed while something was written");
  send = std::move(message.send);
  auto loaded = log->load();
  if (!loaded) {
    fail(loaded.error());
    return to_error(consensus_errc::log_failed, loaded.error().message);
  }
  return log_contents{std::make_shared<storage::raft_log_contents>(std::move(loaded).value())};
}

bool log_writer_state::write_gathered_requests() {
  if (gathered.empty())
    return true;
  const auto ticket = gathered.back().ticket;
  const auto written = write(merge(gathered));
  if (!written) {
    fail(written.error());
    return false;
  }
  keep_promises();
  gathered.clear();
  self->send(answer_to, log_written{ticket});
  return true;
}

void log_writer_state::keep_promises() {
  for (auto& request : gathered)
    for (auto& promise : request.promises) {
      const auto to = promise.to;
      send(to, std::move(promise));
    }
}

storage::result<void> log_writer_state::write(std::vector<log_step> steps) {
  for (auto& step : steps) {
    if (step.snapshot) {
      if (auto saved = log->save_snapshot(*step.snapshot); !saved)
        return saved;
      compaction_goal = std::max(compaction_goal, step.compact_to);
    }
    step.batch.compact_to = compaction_piece(log->first_index(), compaction_goal, step.batch.entries.size());
    if (auto appended = log->append(step.batch); !appended)
      return appended;
  }
  return {};
}

void log_writer_state::fail(const storage::storage_error& error) {
  self->quit(to_error(consensus_errc::log_failed, error.message));
}

caf::behavior log_writer(log_writer_self* self, const log_writer_options& options) {
  auto& state = self->state;
  if (!state.open(options))
    return {};
  return {
      [&state](log_write& message) { state.on_write(message); },
      [&state](const write_gathered&) { state.write_gathered_requests(); },
      [&state](load_log& message) { return state.on_load(message); },
  };
}

} // namespace

caf::actor spawn_log_writer(caf::actor_system& system, log_writer_options options) {
  return options.detached ? system.spawn<caf::detached>(log_writer, std::move(options))
                          : system.spawn(log_writer, std::move(options));
}

} // namespace prunella::runtime
