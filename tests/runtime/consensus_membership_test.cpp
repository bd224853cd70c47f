// Hand-over and membership.
// Names of etcd-raft's tests (raft_test.go, raft_paper_test.go, testdata/) and of Ongaro 2014's figures in parentheses.

#include <doctest/doctest.h>

#include "tests/runtime/consensus_group.hpp"

using namespace prunella::tests;
using strings = std::vector<std::string>;
using kind = membership_change_kind;

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

  TEST_CASE("a leader whose disk owes an answer for 40 ticks hands over, not after 39, and what it was asked is committed") {
    hand_driven_group group(3);
    group.elect(1);
    group.at(1).disk_answers = false;
    group.propose(1, "a");
    CHECK(group.applied(1).empty());
    group.tick(1, 39);
    CHECK(group.role(1) == raft_role::leader);
    group.tick(1, 1);
    CHECK(group.role(1) == raft_role::follower);
    CHECK(group[1].leader() != 1);
    CHECK(group.applied(2) == strings{"a"});
    CHECK(group.applied(3) == strings{"a"});
  }

  TEST_CASE("a disk that answers now and then, or a leader that nobody could replace, moves no leadership") {
    hand_driven_group group(3, [](raft_options& x) { x.withhold_vote = x.self == 3; });
    group.elect(1);
    group.at(1).disk_answers = false;
    for (int i = 0; i < 3; ++i) {
      group.propose(1, "a");
      group.tick(1, 39);
      group.sync(1);
    }
    CHECK(group.role(1) == raft_role::leader);
    hand_driven_group alone(1);
    alone.elect(1);
    alone.at(1).disk_answers = false;
    alone.propose(1, "a");
    alone.tick(1, 100);
    CHECK(alone.role(1) == raft_role::leader);
    CHECK(alone.core(1).transfer_leadership(0).refusal == raft_refusal::busy);
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

  TEST_CASE(
      "learners count neither for commits nor for elections nor for the quorum check (TestLearnerLogReplication)") {
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
