// Hand-over, membership, snapshots, reads and hostile input; names as in consensus_scenario_test.cpp.

#include <doctest/doctest.h>

#include "consensus_group.hpp"

using namespace prunella::tests;
using strings = std::vector<std::string>;
using kind = membership_change_kind;

namespace {

raft_message message(raft_message_type type, member_id from, member_id to, std::uint64_t term) {
  raft_message m;
  m.type = type;
  m.group = 1;
  m.from = from;
  m.to = to;
  m.term = term;
  return m;
}

} // namespace

TEST_SUITE("hand-over") {
  TEST_CASE("leadership goes to a caught-up voter without an election timeout (TestLeaderTransferToUpToDateNode)") {
    hand_driven_group group(3);
    group.elect(1);
    CHECK(group[1].transfer_leadership(3).refusal == raft_refusal::none);
    group.settle();
    CHECK(group.role(3) == raft_role::leader);
    CHECK(group.role(1) == raft_role::follower);
    CHECK(group[2].leader() == 3);
  }

  TEST_CASE("a slow target is brought up to date first (TestLeaderTransferToSlowFollower)") {
    hand_driven_group group(3);
    group.elect(1);
    group.isolate(3);
    group.propose(1, "a");
    group.heal();
    group[1].transfer_leadership(3);
    group.settle();
    CHECK(group.role(3) == raft_role::leader);
    CHECK(group.applied(3) == strings{"a"});
  }

  TEST_CASE("proposals are refused as busy during a hand-over, which ends after one election timeout "
            "(TestLeaderTransferTimeout, TestLeaderTransferIgnoreProposal)") {
    hand_driven_group group(3);
    group.elect(1);
    group.isolate(3);
    group[1].transfer_leadership(3);
    group.settle();
    CHECK(group[1].propose("x").refusal == raft_refusal::busy);
    group.tick(1, 9);
    CHECK(group[1].propose("x").refusal == raft_refusal::busy);
    group.tick(1, 1);
    CHECK(group[1].propose("x").refusal == raft_refusal::none);
    CHECK(group.role(1) == raft_role::leader);
  }

  TEST_CASE("repeated hand-overs to absent members do not keep a leader without majority alive") {
    hand_driven_group group(3);
    group.elect(1);
    group.isolate(1);
    for (int i = 0; i < 30; ++i) {
      group[1].transfer_leadership(2 + static_cast<member_id>(i % 2));
      group.tick(1, 1);
    }
    CHECK(group.role(1) != raft_role::leader);
  }

  TEST_CASE("leadership goes neither to oneself nor to a learner nor to a stranger (TestLeaderTransferToSelf, "
            "TestLeaderTransferToNonExistingNode, TestLeaderTransferToLearner)") {
    hand_driven_group group(1);
    group.elect(1);
    group.add(2, false);
    group.change(1, kind::add_learner, 2);
    CHECK(group[1].transfer_leadership(1).refusal == raft_refusal::invalid);
    CHECK(group[1].transfer_leadership(2).refusal == raft_refusal::invalid);
    CHECK(group[1].transfer_leadership(7).refusal == raft_refusal::invalid);
    CHECK(group[2].transfer_leadership(1).refusal == raft_refusal::not_leader);
    group.settle();
    CHECK(group.role(1) == raft_role::leader);
  }
}

TEST_SUITE("membership") {
  TEST_CASE("a learner catches up and becomes a voter (TestLearnerLogReplication, TestLearnerPromotion)") {
    hand_driven_group group(1);
    group.elect(1);
    group.propose(1, "a");
    group.add(2, false);
    CHECK(group.change(1, kind::add_learner, 2).refusal == raft_refusal::none);
    CHECK(group.applied(2) == strings{"a"});
    CHECK(group.change(1, kind::add_voter, 2).refusal == raft_refusal::none);
    CHECK(group[2].members().voters == std::vector<member_id>{1, 2});
    group.isolate(2);
    group.propose(1, "b");
    CHECK(group.applied(1) == strings{"a"}); // one of two is no majority
  }

  TEST_CASE("learners count neither for commits nor for elections nor for the quorum check (TestLearnerLogReplication)") {
    hand_driven_group group(3);
    group.elect(1);
    for (member_id id : {4, 5, 6}) {
      group.add(id, false);
      CHECK(group.change(1, kind::add_learner, id).refusal == raft_refusal::none);
    }
    const auto before = group[1].commit();
    group.isolate(2);
    group.isolate(3);
    group.propose(1, "a");
    CHECK(group[4].log().last_index() == before + 1); // the learners have it
    CHECK(group[1].commit() == before);
    group.tick(1, 25);
    CHECK(group.role(1) != raft_role::leader);
  }

  TEST_CASE("a learner further behind than promotion_lag gets no vote, exactly that far behind it does") {
    hand_driven_group group(1, [](raft_options& o) { o.promotion_lag = 5; });
    group.elect(1);
    group.add(2, false);
    group.change(1, kind::add_learner, 2);
    group.isolate(2);
    for (int i = 0; i < 6; ++i)
      group.propose(1, "x");
    CHECK(group[1].propose_membership({kind::add_voter, 2}).refusal == raft_refusal::not_caught_up);
    hand_driven_group near(1, [](raft_options& o) { o.promotion_lag = 5; });
    near.elect(1);
    near.add(2, false);
    near.change(1, kind::add_learner, 2);
    near.isolate(2);
    for (int i = 0; i < 5; ++i)
      near.propose(1, "x");
    CHECK(near[1].propose_membership({kind::add_voter, 2}).refusal == raft_refusal::none);
  }

  TEST_CASE("one change at a time (TestStepConfig, TestNewLeaderPendingConfig)") {
    hand_driven_group group(3);
    group.elect(1);
    group.isolate(1);
    CHECK(group.change(1, kind::add_learner, 4).refusal == raft_refusal::none);
    CHECK(group.change(1, kind::add_learner, 5).refusal == raft_refusal::not_ready);
  }

  TEST_CASE("no change before the leader has committed in its term (Ongaro 2015, the bug in single-server changes)") {
    hand_driven_group group(4);
    group.lost = [](const raft_message& m) { return m.type == raft_message_type::append; };
    group.elect(1);
    REQUIRE(group.role(1) == raft_role::leader);
    CHECK(group.change(1, kind::remove, 2).refusal == raft_refusal::not_ready);
    group.lost = {};
    group.tick(1, 2);
    CHECK(group.change(1, kind::remove, 2).refusal == raft_refusal::none);
  }

  TEST_CASE("the 2015 counter-example: two leaders cannot commit with disjoint majorities") {
    // Four members. S1 of term 2 appends C+5 and fails; S2 of term 3 appends C-1, needs {2,3} of {2,3,4}, commits;
    // S1 returns for term 4 with the votes of {1,4,5}. The correction stops S2 before it appends C-1 uncommitted.
    hand_driven_group group(4);
    group.add(5, false);
    group.elect(1);
    group.cut(1, 2);
    group.cut(1, 3);
    group.cut(1, 4);
    CHECK(group.change(1, kind::add_voter, 5).refusal == raft_refusal::none);
    CHECK(group[5].members().voters.size() == 5); // S5 has C+5, nobody else has
    group.isolate(5);
    group.lost = [](const raft_message& m) { return m.type == raft_message_type::append && m.from == 2; };
    for (member_id id : {2, 3, 4})
      for (int i = 0; i < 10; ++i)
        group[id].tick();
    group.elect(2);
    REQUIRE(group.role(2) == raft_role::leader);
    CHECK(group.change(2, kind::remove, 1).refusal == raft_refusal::not_ready);
    group.lost = {};
    group.tick(2, 2); // its barrier commits with {2,3,4}, so S1 can no longer win 3 of 5
    CHECK(group.change(2, kind::remove, 1).refusal == raft_refusal::none);
    group.heal();
    group.cut(1, 2);
    group.cut(1, 3);
    group.cut(5, 2);
    group.cut(5, 3);
    group.tick(1, 60);
    CHECK(group.role(1) != raft_role::leader);
  }

  TEST_CASE("an uncommitted membership is taken back with its entry") {
    hand_driven_group group(3);
    group.elect(1);
    group.isolate(1);
    group.change(1, kind::add_learner, 9);
    CHECK(group[1].members().learners.size() == 1);
    group.take_over(1, 2);
    group.propose(2, "x");
    group.heal();
    group.tick_all(12);
    CHECK(group[1].members().learners.empty());
  }

  TEST_CASE("a removed leader finishes the change, steps down and starts its successor (confchange_v1_remove_leader)") {
    hand_driven_group group(3);
    group.elect(1);
    CHECK(group.change(1, kind::remove, 1).refusal == raft_refusal::none);
    CHECK(group.role(1) == raft_role::follower);
    CHECK(((group.role(2) == raft_role::leader) || (group.role(3) == raft_role::leader)));
    group.tick(1, 100);
    CHECK(group.role(1) == raft_role::follower); // it knows that it is out
  }

  TEST_CASE("a server whose removal is not committed still stands for election, without its own vote (4.2.2)") {
    hand_driven_group group(2);
    group.elect(1);
    group.isolate(1);
    group.change(1, kind::remove, 1); // only 1 has the entry; 2 cannot win without the vote of 1, whose log is longer
    group.tick(1, 25);
    group.tick(2, 25);
    CHECK(group.role(1) != raft_role::leader);
    CHECK(group.role(2) != raft_role::leader);
    group.heal();
    group.tick(1, 12);
    group.tick(2, 12);
    CHECK(group.role(2) == raft_role::leader);
    CHECK(group[2].members() == raft_membership{{2}, {}});
    CHECK(group.role(1) == raft_role::follower);
  }

  TEST_CASE("a demoted leader steps down, too (TestLeaderTransferDemoteNode's sibling)") {
    hand_driven_group group(3);
    group.elect(1);
    CHECK(group.change(1, kind::demote_voter, 1).refusal == raft_refusal::none);
    CHECK(group.role(1) == raft_role::follower);
    const auto leader = group[2].soft().role == raft_role::leader ? 2u : 3u;
    group.propose(leader, "x");
    CHECK(group.applied(1) == strings{"x"}); // it follows as a learner
  }

  TEST_CASE("removing a voter can commit what waited for it (TestCommitAfterRemoveNode)") {
    hand_driven_group group(2);
    group.elect(1);
    group.isolate(2);
    group.change(1, kind::remove, 2);
    CHECK(group[1].commit() == 3); // a majority of {1}: the change counts from the moment it is in the log
    group.propose(1, "a");
    CHECK(group.applied(1) == strings{"a"});
  }

  TEST_CASE("a removed server that did not hear of it cannot disturb the rest (Ongaro 2014, figure 4.7)") {
    hand_driven_group group(3);
    group.elect(1);
    group.isolate(3);
    group.change(1, kind::remove, 3);
    group.heal();
    for (int i = 0; i < 60; ++i) {
      group.tick(3, 1);
      group.tick(1, 1);
      group[2].tick();
    }
    CHECK(group.role(1) == raft_role::leader);
    CHECK(group[1].term() == 2);
  }

  TEST_CASE("impossible changes are refused with a reason: nobody, twice, unknown, the last voter (simple_safety)") {
    const raft_membership now{{1, 2}, {3}};
    CHECK(apply_change(now, {kind::add_voter, 0}).fault.find("nobody") != std::string::npos);
    CHECK_FALSE(apply_change(now, {kind::add_voter, 1}).fault.empty());
    CHECK_FALSE(apply_change(now, {kind::add_learner, 3}).fault.empty());
    CHECK_FALSE(apply_change(now, {kind::add_learner, 1}).fault.empty());
    CHECK_FALSE(apply_change(now, {kind::demote_voter, 3}).fault.empty());
    CHECK_FALSE(apply_change(now, {kind::remove, 7}).fault.empty());
    CHECK_FALSE(apply_change({{1}, {3}}, {kind::remove, 1}).fault.empty());
    CHECK_FALSE(apply_change({{1}, {3}}, {kind::demote_voter, 1}).fault.empty());
    CHECK(apply_change(now, {kind::add_voter, 3}).members == raft_membership{{1, 2, 3}, {}});
    CHECK(apply_change(now, {kind::demote_voter, 1}).members == raft_membership{{2}, {1, 3}});
    CHECK(apply_change(now, {kind::remove, 3}).members == raft_membership{{1, 2}, {}});
  }
}

TEST_SUITE("snapshots") {
  TEST_CASE("a member whose entries are gone gets a snapshot in pieces and continues behind it (TestSlowNodeRestore)") {
    hand_driven_group group(3, [](raft_options& o) { o.snapshot_piece_bytes = 10; });
    group.elect(1);
    group.isolate(3);
    for (int i = 0; i < 20; ++i)
      group.propose(1, "x" + std::to_string(i));
    CHECK(group[1].take_snapshot(15, std::string(95, 's'), 0));
    int pieces = 0;
    group.lost = [&](const raft_message& m) {
      pieces += m.type == raft_message_type::snapshot;
      return false;
    };
    group.heal();
    group.tick(1, 4);
    CHECK(pieces == 10);
    REQUIRE((group.at(3).restored != nullptr));
    CHECK(group.at(3).restored->data == std::string(95, 's'));
    CHECK(group[3].commit() == group[1].commit());
    CHECK(group[3].members() == group[1].members());
    CHECK(group.applied(3).back() == "x19");
  }

  TEST_CASE("a lost piece is sent again after three heartbeats, not at each one (TestSnapshotFailure)") {
    hand_driven_group group(2, [](raft_options& o) { o.snapshot_piece_bytes = 50; });
    group.elect(1);
    group.add(9, false);
    group.propose(1, "a");
    group[1].take_snapshot(group[1].commit(), std::string(100, 's'), 0);
    int pieces = 0;
    group.lost = [&](const raft_message& m) {
      pieces += m.type == raft_message_type::snapshot;
      return m.type == raft_message_type::snapshot;
    };
    group.change(1, kind::add_learner, 9);
    const auto before = pieces;
    CHECK(before == 1);
    group.tick(1, 2);
    CHECK(pieces == before);
    group.tick(1, 1);
    CHECK(pieces == before + 1);
    group.lost = {};
    group.tick(1, 3);
    CHECK(group[9].commit() == group[1].commit());
  }

  TEST_CASE("a snapshot counts only once it is on disk (TestSnapshotSucceed)") {
    hand_driven_group group(2);
    group.elect(1);
    group.add(9, false);
    group.at(9).disk_answers = false;
    group.propose(1, "a");
    group[1].take_snapshot(group[1].commit(), "state", 0);
    group.change(1, kind::add_learner, 9);
    CHECK((group.at(9).restored == nullptr));
    CHECK(group[1].status().peers.at(9).match == 0);
    group.sync(9);
    group.settle();
    CHECK((group.at(9).restored != nullptr));
    CHECK(group[1].status().peers.at(9).match > 0);
  }

  TEST_CASE("a member learns the membership from a snapshot alone (TestRestore)") {
    hand_driven_group group(2);
    group.elect(1);
    group.add(9, false);
    group.cut(1, 9);
    group.change(1, kind::add_learner, 9);
    group[1].take_snapshot(group[1].commit(), "state", 0);
    group.heal();
    group.tick(1, 3);
    CHECK(group[9].members() == raft_membership{{1, 2}, {9}});
    group.isolate(9);
    group.tick(9, 50);
    CHECK(group.role(9) == raft_role::follower);
  }

  TEST_CASE("a snapshot of what is committed here anyway changes nothing (TestRestoreIgnoreSnapshot)") {
    hand_driven_group group(3);
    group.elect(1);
    group.propose(1, "a");
    auto old = message(raft_message_type::snapshot, 1, 2, 2);
    old.log_index = 2;
    old.log_term = 2;
    old.members = {{1, 2, 3}, {}};
    old.total = 1;
    old.chunk = "s";
    CHECK(group[2].step(old).empty());
    group.settle();
    CHECK((group.at(2).restored == nullptr));
    CHECK(group[2].log().last_index() == 3);
  }

  TEST_CASE("compaction keeps entries for slow followers, and memory stays bounded (TestCompaction)") {
    hand_driven_group group(1);
    group.elect(1);
    for (int i = 0; i < 100; ++i)
      group.propose(1, "x");
    CHECK(group[1].take_snapshot(80, "s", 10));
    CHECK(group[1].log().offset() == 70);
    CHECK_FALSE(group[1].take_snapshot(80, "s", 10));
    CHECK_FALSE(group[1].take_snapshot(1000, "s", 10));
    group.drain(1);
    CHECK(group[1].take_snapshot(102, "s", 0));
    CHECK(group[1].log().offset() == 102);
    CHECK(group[1].log().term_at(102) == 2u);
  }

  TEST_CASE("a member restarts from snapshot and log without applying anything twice (TestNodeRestartFromSnapshot)") {
    restored_state restored;
    restored.state = {3, 0, 12};
    restored.snapshot = std::make_shared<const raft_snapshot>(raft_snapshot{10, 2, {{1}, {}}, "s"});
    restored.compacted = {8, 1};
    for (std::uint64_t i = 9; i <= 13; ++i)
      restored.entries.emplace_back(log_entry{i < 11 ? 2u : 3u, i, entry_kind::command, "e" + std::to_string(i)});
    restored.applied = 10;
    hand_driven_group group(1);
    group.add(1, false, std::move(restored));
    group.settle();
    CHECK(group.applied(1) == strings{"e11", "e12"});
    group.elect(1);
    CHECK(group.applied(1) == strings{"e11", "e12", "e13"});
  }

  TEST_CASE("a member refuses to start from a disk that has lost something, and says what") {
    const auto fault = [](auto change) {
      restored_state r;
      r.state = {2, 0, 3};
      for (std::uint64_t i = 1; i <= 4; ++i)
        r.entries.emplace_back(log_entry{i < 3 ? 1u : 2u, i, entry_kind::command, "e"});
      change(r);
      return find_fault(r);
    };
    CHECK(fault([](auto&) {}).empty());
    CHECK(fault([](auto& r) { r.state.commit = 5; }).find("committed") != std::string::npos);
    CHECK(fault([](auto& r) { r.state.term = 1; }).find("promises") != std::string::npos);
    CHECK(fault([](auto& r) { r.applied = 5; }).find("state machine") != std::string::npos);
    CHECK(fault([](auto& r) { r.entries.erase(r.entries.begin() + 1); }).find("followed by") != std::string::npos);
    CHECK(fault([](auto& r) { r.snapshot = std::make_shared<const raft_snapshot>(raft_snapshot{3, 2, {{1}, {}}, ""}); })
              .find("behind the snapshot") != std::string::npos);
    CHECK(fault([](auto& r) {
            r.snapshot = std::make_shared<const raft_snapshot>(raft_snapshot{3, 1, {{1}, {}}, ""});
            r.applied = 3;
          }).find("contradicts") != std::string::npos);
  }
}

TEST_SUITE("reads") {
  TEST_CASE("a read index is answered when a majority has confirmed the leader (TestReadOnlyOptionSafe)") {
    hand_driven_group group(3);
    group.elect(1);
    group.propose(1, "a");
    CHECK(group[1].read_index(77) == raft_refusal::none);
    group.settle();
    REQUIRE(group.at(1).reads.size() == 1);
    CHECK(group.at(1).reads[0].context == 77);
    CHECK(group.at(1).reads[0].index == 3);
  }

  TEST_CASE("a cut-off leader answers no read (TestNodeReadIndexToOldLeader)") {
    hand_driven_group group(3);
    group.elect(1);
    group.isolate(1);
    group[1].read_index(1);
    group.settle();
    CHECK(group.at(1).reads.empty());
    group.tick(1, 25);
    REQUIRE(group.at(1).reads.size() == 1);
    CHECK(group.at(1).reads[0].failed);
  }

  TEST_CASE("an answer to an older round confirms no younger read") {
    hand_driven_group group(3);
    group.elect(1);
    auto late = message(raft_message_type::heartbeat_reply, 2, 1, 2);
    group.lost = [](const raft_message& m) { return m.type == raft_message_type::heartbeat_reply; };
    group[1].read_index(1); // round 1
    group.settle();
    group[1].read_index(2); // round 2
    group.settle();
    late.round = 1;
    group[1].step(late);
    group.settle();
    REQUIRE(group.at(1).reads.size() == 1);
    CHECK(group.at(1).reads[0].context == 1);
    late.round = 9; // a round that never was
    group[1].step(late);
    group.settle();
    CHECK(group.at(1).reads.size() == 1);
  }

  TEST_CASE("a new leader answers reads only after it committed in its term (TestReadOnlyForNewLeader)") {
    hand_driven_group group(3);
    group.lost = [](const raft_message& m) { return m.type == raft_message_type::append; };
    group.elect(1);
    group[1].read_index(5);
    group.settle();
    CHECK(group.at(1).reads.empty());
    group.lost = {};
    group.tick(1, 2);
    REQUIRE(group.at(1).reads.size() == 1);
    CHECK(group.at(1).reads[0].index == 2);
  }

  TEST_CASE("followers and learners ask their leader (TestReadOnlyWithLearner)") {
    hand_driven_group group(2);
    group.elect(1);
    group.add(3, false);
    group.change(1, kind::add_learner, 3);
    CHECK(group[2].read_index(8) == raft_refusal::none);
    CHECK(group[3].read_index(9) == raft_refusal::none);
    group.settle();
    CHECK(group.at(2).reads.at(0).index == 3);
    CHECK(group.at(3).reads.at(0).context == 9);
  }

  TEST_CASE("without a leader a read is refused, and too many are refused as busy") {
    hand_driven_group group(3, [](raft_options& o) { o.max_waiting_reads = 2; });
    CHECK(group[1].read_index(1) == raft_refusal::not_leader);
    group.elect(1);
    group.isolate(1);
    CHECK(group[1].read_index(1) == raft_refusal::none);
    CHECK(group[1].read_index(2) == raft_refusal::none);
    CHECK(group[1].read_index(3) == raft_refusal::busy);
  }
}

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
    CHECK(refused(message(static_cast<type>(13), 1, 2, 2)));
    CHECK(refused(message(type::heartbeat, 0, 2, 2)));
    CHECK(refused(message(type::heartbeat, 2, 2, 2)));             // from itself
    CHECK(refused(message(type::heartbeat, 1, 3, 2)));             // for another
    CHECK(refused(message(type::heartbeat, 1, 2, 0)));             // term 0
    CHECK(refused(message(type::heartbeat, 1, 2, ~0ull)));         // a term that would never end
    CHECK(refused(message(type::heartbeat, 3, 2, 2)));             // a second leader of the term
    auto foreign = message(type::heartbeat, 1, 2, 9);
    foreign.group = 2;
    CHECK(refused(foreign));
    CHECK(refused(append(3, 2, {{2, 5, entry_kind::command, ""}})));                                   // gap
    CHECK(refused(append(3, 2, {{1, 4, entry_kind::command, ""}})));                                   // term falls
    CHECK(refused(append(3, 2, {{3, 4, entry_kind::command, ""}})));                                   // above its leader's
    CHECK(refused(append(3, 2, {{2, 4, static_cast<entry_kind>(7), ""}})));                            // kind
    CHECK(refused(append(3, 2, {{2, 4, entry_kind::membership, "garbage"}})));                         // membership
    CHECK(refused(append(3, 1, {{2, 4, entry_kind::command, ""}})));                                   // contradicts commit
    CHECK(refused(append(1, 1, {{2, 2, entry_kind::barrier, ""}, {1, 3, entry_kind::command, "b"}})));
    CHECK(refused(append(2, 1, {{1, 3, entry_kind::command, "b"}, {2, 4, entry_kind::command, ""}}))); // rewrites commit
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
