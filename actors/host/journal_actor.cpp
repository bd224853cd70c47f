#include "actors/host/journal_actor.hpp"

#include <algorithm>
#include <deque>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/stateful_actor.hpp>

#include "runtime/exit_reason.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

struct flush_journal {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(flush_journal, unused)
};

struct journal_state;
using journal_self = caf::stateful_actor<journal_state, runtime::supervised_actor>;

struct journal_state {
  static inline const char* name = "journal";

  explicit journal_state(journal_self* self) : self_(self) {}

  caf::behavior start(journal_actor_options options) {
    options_ = std::move(options);
    if (const auto opened = open(); !opened.ok()) {
      self_->quit(runtime::to_error(runtime::supervision_errc::start_failed, opened.error().message));
      return {};
    }
    return {
      [this](record_events& x) { on_record(x); },
      [this](const flush_journal&) { on_flush(); },
      [this](const events_request& x) { return on_events(x); },
    };
  }

private:
  storage::result<void> open() {
    auto opened = options_.open();
    if (!opened.ok())
      return opened.error();
    journal_ = std::move(opened).value();
    // What was numbered and is not yet written keeps its numbers.
    if (const auto next = journal_->next_sequence(options_.host); next.ok())
      next_sequence_ = std::max(next_sequence_, next.value());
    return {};
  }

  bool is_open() { return journal_ || open().ok(); }

  void on_record(record_events& x) {
    for (auto& event : x.events) {
      // 1000 events cross a link in one answer.
      event.reason = shortened(std::move(event.reason), max_event_reason);
      event.cause = shortened(std::move(event.cause), max_event_cause);
      if (event.origin != storage::site_origin) {
        event.origin = options_.host;
        event.sequence = next_sequence_++;
      }
      if (event.time_ms == 0)
        event.time_ms = options_.clock();
      waiting_.push_back(std::move(event));
    }
    if (waiting_.size() > options_.max_waiting)
      waiting_.erase(waiting_.begin(), waiting_.end() - static_cast<std::ptrdiff_t>(options_.max_waiting));
    if (!flush_armed_ && !waiting_.empty()) {
      flush_armed_ = true;
      self_->delayed_send(self_, options_.flush_after, flush_journal{});
    }
  }

  void on_flush() {
    flush_armed_ = false;
    flush();
  }

  void flush() {
    if (waiting_.empty())
      return;
    // What a full or failing disk refuses keeps waiting, within its bound; nothing else depends on events.
    if (!is_open())
      return;
    const auto done = journal_->append(waiting_, options_.clock());
    if (done.ok())
      waiting_.clear();
    else if (!storage::is_retryable(done.error().code))
      journal_.reset(); // such a file answers nothing before it is opened again
  }

  events_answer on_events(const events_request& x) {
    flush();
    storage::journal_query query;
    query.limit = std::clamp<std::uint32_t>(x.limit, 1, 1'000);
    query.newest = !parse_event_id(x.after, query.after);
    events_answer answer;
    if (is_open())
      if (const auto rows = journal_->read(query); rows.ok())
        for (const auto& row : rows.value())
          answer.events.push_back(view_of(row));
    // What a full disk keeps waiting is news all the same, above all that the disk is full.
    for (const auto& event : waiting_)
      answer.events.push_back(view_of(event));
    return answer;
  }

  journal_self* self_;
  journal_actor_options options_;
  std::unique_ptr<storage::event_journal> journal_;
  std::uint64_t next_sequence_ = 1;
  std::vector<storage::journal_event> waiting_;
  bool flush_armed_ = false;
};

} // namespace

caf::actor spawn_journal(caf::local_actor* parent, journal_actor_options options) {
  const auto start = [](journal_self* self, journal_actor_options x) { return self->state.start(std::move(x)); };
  return options.detached ? parent->spawn<caf::detached>(start, std::move(options))
                          : parent->spawn(start, std::move(options));
}

} // namespace prunella::actors
