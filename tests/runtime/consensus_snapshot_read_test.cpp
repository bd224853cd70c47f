// Snapshots and linearizable reads.
// Names of etcd-raft's tests (raft_test.go, raft_paper_test.go, testdata/) and of Ongaro 2014's figures in parentheses.

#include <doctest/doctest.h>

#include "tests/runtime/consensus_group.hpp"

using namespace prunella::tests;
using strings = std::vector<std::string>;
using kind = membership_change_kind;

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
    CHECK(fault([](auto& r) {
            r.snapshot = std::make_shared<const raft_snapshot>(raft_snapshot{3, 2, {{1}, {}}, ""});
          }).find("behind the snapshot") != std::string::npos);
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
