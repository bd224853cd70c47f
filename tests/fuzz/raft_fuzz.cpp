// A member of a consensus group among members that say anything: it must not crash, not lose what it has committed, and
// not hold more than it was sent. What others believe of a liar is not asked: Raft trusts its members, links know them.
//   The input is a sequence of steps; see `act`.

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.hpp"
#include "tests/runtime/consensus_group.hpp"

using namespace prunella::tests;
using prunella::fuzz::require;

namespace {

constexpr std::size_t max_steps = 400;

/// One member with its disk and state machine. Members 2 to 4 are whatever the input makes of them.
class member_among_liars {
public:
  explicit member_among_liars(FuzzedDataProvider& input) : input_(input), core_(options(), restored(input)) {}

  void act() {
    switch (input_.ConsumeIntegralInRange<int>(0, 12)) {
    case 0: core_.tick(); break;
    case 1: core_.campaign(); break;
    case 2: core_.forget_leader(); break;
    case 3: (void)core_.propose(input_.ConsumeRandomLengthString(64)); break;
    case 4: (void)core_.read_index(input_.ConsumeIntegral<std::uint8_t>()); break;
    case 5: (void)core_.transfer_leadership(small()); break;
    case 6: (void)core_.propose_membership({static_cast<membership_change_kind>(small()), small()}); break;
    case 7: (void)core_.take_snapshot(small(), input_.ConsumeRandomLengthString(32), small()); break;
    case 8: disk_answers_ = !disk_answers_; break;
    default: (void)core_.step(any_message()); break;
    }
    drain();
    check();
  }

private:
  static raft_options options() {
    raft_options options;
    options.self = 1;
    options.initial = voters({1, 2, 3});
    options.random = [] { return 1u; };
    options.max_snapshot_bytes = 4096;
    options.max_unapplied_bytes = 4096;
    options.max_waiting_reads = 16;
    options.snapshot_piece_bytes = 8;
    return options;
  }

  static restored_state restored(FuzzedDataProvider& input) {
    if (input.ConsumeBool())
      return {};
    auto state = log_of_terms({1, 1, 2, 2, 3}, voters({1, 2, 3}), 3);
    state.state.commit = state.applied = input.ConsumeIntegralInRange<std::uint64_t>(1, 5);
    return state;
  }

  std::uint64_t small() { return input_.ConsumeIntegralInRange<std::uint64_t>(0, 15); }

  /// Mostly near what could be true, now and then anything.
  std::uint64_t number() { return input_.ConsumeIntegralInRange(0, 15) == 0 ? input_.ConsumeIntegral<std::uint64_t>() : small(); }

  raft_membership any_members() {
    raft_membership members;
    for (auto n = input_.ConsumeIntegralInRange(0, 5); n > 0; --n)
      (input_.ConsumeBool() ? members.voters : members.learners).push_back(small());
    return members;
  }

  log_entry any_entry(std::uint64_t index, std::uint64_t term) {
    log_entry entry;
    entry.index = input_.ConsumeIntegralInRange(0, 15) == 0 ? number() : index;
    entry.term = term + (input_.ConsumeIntegralInRange(0, 7) == 0 ? 1 : 0);
    entry.kind = static_cast<entry_kind>(input_.ConsumeIntegralInRange(0, 3));
    entry.data = entry.kind == entry_kind::membership && input_.ConsumeBool() ? encode_membership(any_members())
                                                                             : input_.ConsumeRandomLengthString(32);
    return entry;
  }

  raft_message any_message() {
    auto m = message(static_cast<raft_message_type>(input_.ConsumeIntegralInRange(0, 13)), small(), 1, number());
    m.log_index = number();
    m.log_term = number();
    m.commit = number();
    m.hint = number();
    m.round = number();
    m.reject = input_.ConsumeBool();
    m.force = input_.ConsumeBool();
    m.total = number();
    m.chunk = input_.ConsumeRandomLengthString(16);
    m.members = any_members();
    for (auto n = input_.ConsumeIntegralInRange(0, 4); n > 0; --n)
      m.entries.emplace_back(any_entry(m.log_index + m.entries.size() + 1, m.log_term));
    received_ += m.chunk.size() + m.entries.size() * 64;
    for (const auto& entry : m.entries)
      received_ += entry->data.size();
    return m;
  }

  void drain() {
    int rounds = 0;
    while (core_.has_ready()) {
      require(++rounds < 1000, "a member runs out of things to say");
      auto out = core_.ready();
      for (const auto& m : out.messages)
        require(m.from == 1 && m.to != 1 && find_fault(m, 4096).empty(), "a member says nothing that it would refuse");
      if (out.restore) {
        require(out.restore->index >= applied_, "a state machine never goes back");
        applied_ = out.restore->index;
      }
      for (const auto& entry : out.committed)
        require(entry->index == ++applied_, "entries are applied in order, each once");
      if (out.write.ticket != 0)
        ticket_ = out.write.ticket;
      if (disk_answers_)
        core_.persisted(ticket_);
    }
  }

  void check() {
    const auto& log = core_.log();
    require(core_.commit() >= committed_, "what is committed stays committed");
    committed_ = core_.commit();
    require(committed_ <= std::max(log.last_index(), log.offset()), "nothing is committed that is not there");
    require(log.persisted() <= log.last_index(), "nothing is on disk that is not there");
    require(applied_ <= committed_, "nothing is applied that is not committed");
    require(log.last_index() - log.offset() <= 16 + received_, "a log grows by what was sent");
    require(find_fault(core_.members()).empty(), "the membership is a sound one");
    (void)core_.status();
  }

  FuzzedDataProvider& input_;
  raft core_;
  bool disk_answers_ = true;
  std::uint64_t ticket_ = 0;
  std::uint64_t applied_ = core_.status().applied;
  std::uint64_t committed_ = 0;
  std::uint64_t received_ = 1 + max_steps;
};

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  member_among_liars member(input);
  for (std::size_t i = 0; i < max_steps && input.remaining_bytes() > 0; ++i)
    member.act();
  return 0;
}
