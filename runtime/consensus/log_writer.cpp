#include "runtime/consensus/log_writer.hpp"

#include <algorithm>
#include <iterator>
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

/// To itself, while the disk has no room.
struct try_again {
  bool now = true;

  PRUNELLA_FIELDS(try_again, now)
};

struct log_writer_state;
using log_writer_self = caf::stateful_actor<log_writer_state, supervised_actor>;

struct log_writer_state {
  static constexpr const char* name = "log_writer";

  explicit log_writer_state(log_writer_self* self_) : self(self_) {}

  bool open(const log_writer_options& options);
  void on_write(log_write& message);
  caf::result<log_contents> on_load(load_log& message);
  void on_try_again();
  /// Writes all that was gathered and answers, or keeps it while the disk has no room. False: it failed, and the actor
  /// ends.
  bool write_gathered_requests();
  bool write_steps();
  void keep_promises();
  storage::result<void> write(log_step& step);
  void fail(const storage::storage_error& error);
  bool is_stalled() const { return !unwritten.empty(); }
  void wait_for_room(const std::string& why);
  void end_stall();
  /// What a reader or a new client was not promised: as if this had crashed before it was written.
  void forget_unwritten();

  log_writer_self* self;
  std::unique_ptr<storage::raft_log> log;
  std::vector<write_request>
      gathered; // bounded by what a leader may have unapplied and what a follower's window admits
  std::uint64_t compaction_goal = 0; // forgotten at a restart; the next snapshot sets it anew
  std::vector<log_step> unwritten; // of what was gathered, in order; only while the disk has no room
  std::vector<raft_message> promises; // that hold once it is written
  std::uint64_t unwritten_ticket = 0;
  std::function<void(const std::string&)> on_stalled;
  std::chrono::milliseconds retry_after{};
  bool stall_told = false;
  bool retry_armed = false;
  caf::actor answer_to;
  std::function<void(std::vector<raft_message>)> send;
};

bool log_writer_state::open(const log_writer_options& options) {
  auto opened = options.open();
  if (!opened) {
    fail(opened.error());
    return false;
  }
  log = std::move(opened).value();
  on_stalled = options.on_stalled;
  retry_after = options.retry_after;
  if (options.say_ready)
    options.say_ready();
  return true;
}

void log_writer_state::on_write(log_write& message) {
  auto sender = caf::actor_cast<caf::actor>(self->current_sender());
  if (sender != answer_to) { // a predecessor's tickets are not the successor's
    if (!write_gathered_requests())
      return;
    forget_unwritten();
  }
  answer_to = std::move(sender);
  if (gathered.empty() && !is_stalled())
    self->send(self, write_gathered{});
  gathered.push_back(std::move(*message.request));
}

caf::result<log_contents> log_writer_state::on_load(load_log& message) {
  if (!write_gathered_requests())
    return to_error(consensus_errc::log_failed, "it failed while something was written");
  forget_unwritten();
  send = std::move(message.send);
  auto loaded = log->load();
  if (!loaded) {
    fail(loaded.error());
    return to_error(consensus_errc::log_failed, loaded.error().message);
  }
  return log_contents{std::make_shared<storage::raft_log_contents>(std::move(loaded).value())};
}

bool log_writer_state::write_gathered_requests() {
  if (is_stalled() && !write_steps())
    return false;
  while (!is_stalled() && !gathered.empty()) {
    unwritten = merge(gathered);
    unwritten_ticket = gathered.back().ticket;
    for (auto& request : gathered)
      std::move(request.promises.begin(), request.promises.end(), std::back_inserter(promises));
    gathered.clear();
    if (!write_steps())
      return false;
  }
  return true;
}

bool log_writer_state::write_steps() {
  // A step that was written is gone, so that no retry repeats it.
  for (; !unwritten.empty(); unwritten.erase(unwritten.begin())) {
    const auto written = write(unwritten.front());
    if (written)
      continue;
    if (!storage::is_retryable(written.error().code)) {
      fail(written.error());
      return false;
    }
    wait_for_room(written.error().message);
    return true;
  }
  end_stall();
  keep_promises();
  self->send(answer_to, log_written{unwritten_ticket});
  return true;
}

void log_writer_state::keep_promises() {
  if (!promises.empty())
    send(std::exchange(promises, {}));
}

storage::result<void> log_writer_state::write(log_step& step) {
  if (step.snapshot) {
    if (auto saved = log->save_snapshot(*step.snapshot); !saved)
      return saved;
    compaction_goal = std::max(compaction_goal, step.compact_to);
    step.snapshot = nullptr;
  }
  step.batch.compact_to = compaction_piece(log->first_index(), compaction_goal, step.batch.entries.size());
  return log->append(step.batch);
}

void log_writer_state::wait_for_room(const std::string& why) {
  if (!stall_told && on_stalled)
    on_stalled(why);
  stall_told = true;
  if (!retry_armed)
    self->delayed_send(self, retry_after, try_again{});
  retry_armed = true;
}

void log_writer_state::on_try_again() {
  retry_armed = false;
  write_gathered_requests();
}

void log_writer_state::end_stall() {
  if (stall_told && on_stalled)
    on_stalled({});
  stall_told = false;
}

void log_writer_state::forget_unwritten() {
  unwritten.clear();
  promises.clear();
  gathered.clear();
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
      [&state](const write_gathered&) {
        if (!state.is_stalled()) // then it is tried again at its time, not for each that arrives
          state.write_gathered_requests();
      },
      [&state](const try_again&) { state.on_try_again(); },
      [&state](load_log& message) { return state.on_load(message); },
  };
}

} // namespace

caf::actor spawn_log_writer(caf::actor_system& system, log_writer_options options) {
  return options.detached ? system.spawn<caf::detached>(log_writer, std::move(options))
                          : system.spawn(log_writer, std::move(options));
}

} // namespace prunella::runtime
