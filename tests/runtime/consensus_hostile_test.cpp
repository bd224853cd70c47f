// Damaged and hostile input.
// Names of etcd-raft's tests (raft_test.go, raft_paper_test.go, testdata/) and of Ongaro 2014's figures in parentheses.

#include <doctest/doctest.h>

#include "tests/runtime/consensus_group.hpp"

using namespace prunella::tests;
using kind = membership_change_kind;

TEST_SUITE("hostile input") {
  TEST_CASE("damaged and foreign messages are refused with a sentence and change nothing") {
    hand_driven_group group(3);
    group.elect(1);
    group.propose(1, "a"); // entry 3 of term 2
    const auto refused = [&](raft_message m) {
      const auto before = group[2].soft();
      const auto last = group[2].log().last_index();
      const bool named = !group[2].step(std::move(m)).empty();
      return named && group[2].soft() == before && group[2].log().last_index() == last && group[2].commit() == 3;
    };
    using type = raft_message_type;
    const auto append = [&](std::uint64_t at, std::uint64_t at_term, std::vector<log_entry> entries) {
      auto m = message(type::append, 1, 2, 2);
      m.log_index = at;
      m.log_term = at_term;
      for (auto& e : entries)
        m.entries.emplace_back(std::move(e));
      return m;
    };
    CHECK(refused(message(static_cast<type>(raft_message_types), 1, 2, 2)));
    CHECK(refused(message(type::heartbeat, 0, 2, 2)));
    CHECK(refused(message(type::heartbeat, 2, 2, 2)));     // from itself
    CHECK(refused(message(type::heartbeat, 1, 3, 2)));     // for another
    CHECK(refused(message(type::heartbeat, 1, 2, 0)));     // term 0
    CHECK(refused(message(type::heartbeat, 1, 2, ~0ull))); // a term that would never end
    CHECK(refused(message(type::heartbeat, 3, 2, 2)));     // a second leader of the term
    auto foreign = message(type::heartbeat, 1, 2, 9);
    foreign.group = 2;
    CHECK(refused(foreign));
    CHECK(refused(append(3, 2, {{2, 5, entry_kind::command, ""}})));           // gap
    CHECK(refused(append(3, 2, {{1, 4, entry_kind::command, ""}})));           // term falls
    CHECK(refused(append(3, 2, {{3, 4, entry_kind::command, ""}})));           // above its leader's
    CHECK(refused(append(3, 2, {{2, 4, static_cast<entry_kind>(7), ""}})));    // kind
    CHECK(refused(append(3, 2, {{2, 4, entry_kind::membership, "garbage"}}))); // membership
    CHECK(refused(append(3, 1, {{2, 4, entry_kind::command, ""}})));           // contradicts commit
    CHECK(refused(append(1, 1, {{2, 2, entry_kind::barrier, ""}, {1, 3, entry_kind::command, "b"}})));
    CHECK(
        refused(append(2, 1, {{1, 3, entry_kind::command, "b"}, {2, 4, entry_kind::command, ""}}))); // rewrites commit
    auto piece = message(type::snapshot, 1, 2, 2);
    piece.log_index = 9;
    piece.log_term = 2;
    piece.members = {{1}, {}};
    piece.total = 10;
    piece.hint = 8;
    piece.chunk = "abc";
    CHECK(refused(piece)); // outside itself
    piece.hint = 0;
    piece.members = {{2, 1}, {}};
    CHECK(refused(piece)); // unsorted members
    piece.members = {{1}, {}};
    piece.total = ~0ull;
    CHECK(refused(piece)); // larger than any
    auto claim = message(type::append_reply, 2, 1, 2);
    claim.log_index = 50;
    CHECK_FALSE(group[1].step(claim).empty()); // an acknowledgement of what does not exist
    CHECK(group[1].commit() == 3);
  }

  TEST_CASE("a membership's bytes are read back, and nothing else is taken for one") {
    const raft_membership members{{1, 5, 9}, {7}};
    const auto bytes = encode_membership(members);
    CHECK(decode_membership(bytes) == members);
    for (std::size_t n = 0; n < bytes.size(); ++n)
      CHECK_FALSE(decode_membership(bytes.substr(0, n)));
    CHECK_FALSE(decode_membership(bytes + "x"));
    CHECK_FALSE(decode_membership(encode_membership({{2, 1}, {}})));
    CHECK_FALSE(decode_membership(encode_membership({{1}, {1}})));
  }

  TEST_CASE("random messages of every type crash nobody and break no member's log") {
    std::uint64_t state = 88172645463325252ull;
    const auto next = [&](std::uint64_t below) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      return state % below;
    };
    for (int run = 0; run < 40; ++run) {
      hand_driven_group group(3);
      group.elect(1);
      for (int i = 0; i < 500; ++i) {
        auto m = message(static_cast<raft_message_type>(next(14)), 1 + next(4), 1 + next(3), 1 + next(6));
        m.log_index = next(8);
        m.log_term = next(6);
        m.commit = next(10);
        m.hint = next(10);
        m.round = next(3);
        m.reject = next(2) == 0;
        m.force = next(4) == 0;
        m.total = next(12);
        m.chunk = next(3) == 0 ? std::string(next(5), 'c') : "";
        if (next(2) == 0)
          m.members = {{1, 2, 3}, {}};
        if (m.type == raft_message_type::append)
          for (auto n = next(4); n > 0; --n)
            m.entries.emplace_back(log_entry{m.log_term + next(2), m.log_index + m.entries.size() + 1,
                                             static_cast<entry_kind>(next(2) * 2), ""});
        auto& target = group.at(m.to);
        target.core->step(m);
        if (next(4) == 0)
          group.drain(m.to);
        if (next(20) == 0)
          target.core->tick();
        const auto& log = target.core->log();
        REQUIRE(target.core->commit() <= log.last_index());
        REQUIRE(log.persisted() <= log.last_index());
      }
    }
  }
}
