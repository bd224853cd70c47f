// Elections.
// Names of etcd-raft's tests (raft_test.go, raft_paper_test.go, testdata/) and of Ongaro 2014's figures in parentheses.

#include <doctest/doctest.h>

#include "tests/runtime/consensus_group.hpp"

using namespace prunella::tests;
using strings = std::vector<std::string>;
using kind = membership_change_kind;

TEST_SUITE("election") {
  TEST_CASE("a founding member starts as follower of term 1 with the membership as its committed first entry") {
    hand_driven_group group(3);
    CHECK(group.role(1) == raft_role::follower);
    CHECK(group[1].term() == 1);
    CHECK(group[1].commit() == 1);
    CHECK(group[1].members() == voters({1, 2, 3}));
  }

  TEST_CASE("one round of votes elects a leader (TestLeaderElectionInOneRoundRPC)") {
    hand_driven_group group(3);
    group.elect(1);
    CHECK(group.role(1) == raft_role::leader);
    CHECK(group[2].leader() == 1);
    CHECK(group[3].leader() == 1);
    CHECK(group[1].term() == 2);
  }

  TEST_CASE(
      "members that know their leader is gone stand by turns, and its next word mends a mistake (forget_leader)") {
    hand_driven_group group(3);
    group.elect(2);
    for (member_id id : {1, 3})
      group[id].forget_leader();
    group.tick(2, 1); // it lives after all
    CHECK(group[1].leader() == 2);
    group.tick(1, 3);
    CHECK(group.role(2) == raft_role::leader);
    group.isolate(2);
    for (member_id id : {1, 3})
      group[id].forget_leader();
    group.tick(3, 2);
    CHECK(group.role(3) == raft_role::follower); // its turn is the third tick
    group.tick(1, 1);
    CHECK(group.role(1) == raft_role::leader);
  }

  TEST_CASE("members that have just started stand by turns, and a lone voter leads at once (start_campaigning)") {
    hand_driven_group group(3);
    for (member_id id : {1, 2, 3})
      group[id].start_campaigning();
    CHECK(group[1].ticks_until_action() == 1);
    CHECK(group[2].ticks_until_action() == 3);
    CHECK(group[3].ticks_until_action() == 5);
    group.tick(1, 1);
    CHECK(group.role(1) == raft_role::leader);
    hand_driven_group lone(1);
    lone[1].start_campaigning();
    lone.settle();
    CHECK(lone.role(1) == raft_role::leader);
  }

  TEST_CASE("a member that is left alone acts at the tick it foretold, and at none before (ticks_until_action)") {
    hand_driven_group group(3);
    group.elect(1);
    for (member_id id : {1, 2, 3}) {
      CAPTURE(id);
      for (int round = 0; round < 3; ++round) {
        const auto foretold = group[id].ticks_until_action();
        REQUIRE(foretold >= 1);
        for (std::uint32_t before = 1; before < foretold; ++before) {
          group[id].tick();
          CHECK(!group[id].has_ready());
        }
        group[id].tick();
        CHECK(group[id].has_ready());
        group.drain(id);
      }
    }
  }

  TEST_CASE("a vote is written, too, when its term was on disk before") {
    hand_driven_group group(3);
    group[1].step(message(raft_message_type::heartbeat_reply, 2, 1, 5));
    group.settle();
    group.at(1).disk_answers = false;
    auto ask = message(raft_message_type::vote, 2, 1, 5);
    ask.log_index = 1;
    ask.log_term = 1;
    group[1].step(ask);
    group.drain(1);
    CHECK(group.network().empty());
    REQUIRE(group.at(1).writes.size() == 1);
    CHECK(group.at(1).writes.back().state.voted_for == 2);
  }

  TEST_CASE("a lone voter elects itself once its vote is on disk (TestSingleNodeCandidate)") {
    hand_driven_group group(1);
    group.at(1).disk_answers = false;
    group.elect(1);
    CHECK(group.role(1) == raft_role::candidate);
    group.sync(1);
    group.settle();
    CHECK(group.role(1) == raft_role::leader);
  }

  TEST_CASE("an election starts at the drawn timeout, not a tick before (TestPastElectionTimeout)") {
    hand_driven_group group(3, [](raft_options& o) { o.random = [] { return 0u; }; });
    group.tick(1, 9);
    CHECK(group.role(1) == raft_role::follower);
    group.tick(1, 1);
    CHECK(group.role(1) == raft_role::leader);
  }

  TEST_CASE("timeouts are drawn from one to two election timeouts (TestFollowerElectionTimeoutRandomized)") {
    std::uint32_t value = 0;
    std::set<int> waited;
    for (value = 0; value < 40; ++value) {
      hand_driven_group group(3, [&](raft_options& o) { o.random = [&] { return value; }; });
      int ticks = 0;
      while (group.role(1) == raft_role::follower) {
        group[1].tick();
        ++ticks;
      }
      waited.insert(ticks);
    }
    CHECK(*waited.begin() == 10);
    CHECK(*waited.rbegin() == 19);
    CHECK(waited.size() == 10);
  }

  TEST_CASE("a vote goes to one candidate per term, and to the same one again (TestFollowerVote)") {
    hand_driven_group group(3);
    auto ask = message(raft_message_type::vote, 2, 1, 5);
    ask.log_index = 1;
    ask.log_term = 1;
    group[1].step(ask);
    group.drain(1);
    CHECK_FALSE(group.network().back().reject);
    ask.from = 3;
    group[1].step(ask);
    group.drain(1);
    CHECK(group.network().back().reject);
    ask.from = 2;
    group[1].step(ask);
    group.drain(1);
    CHECK_FALSE(group.network().back().reject);
  }

  TEST_CASE("a vote is not given away before it is on disk") {
    hand_driven_group group(3);
    group.at(1).disk_answers = false;
    auto ask = message(raft_message_type::vote, 2, 1, 5);
    ask.log_index = 1;
    ask.log_term = 1;
    group[1].step(ask);
    group.drain(1);
    CHECK(group.network().empty());
    CHECK(group.at(1).writes.back().state.voted_for == 2);
    group.sync(1);
    group.drain(1);
    CHECK(group.network().size() == 1);
  }

  TEST_CASE("a candidate asks for votes only once its own log and vote are on disk") {
    hand_driven_group group(3);
    group.at(1).disk_answers = false;
    group.elect(1);
    CHECK(group.role(1) == raft_role::candidate); // the pre-vote needed no disk
    CHECK(group[2].term() == 1);
    group.sync(1);
    group.settle();
    CHECK(group.role(1) == raft_role::leader);
  }

  TEST_CASE("a log that ends in a lower term, or earlier in the same term, gets no vote (TestRecvMsgVote, 3.6.1)") {
    struct row {
      std::uint64_t index, term;
      bool reject;
    };
    for (const auto& r : {row{3, 1, true}, row{1, 2, true}, row{2, 2, false}, row{3, 2, false}, row{1, 3, false}}) {
      hand_driven_group group(3);
      group.add(1, true, log_of_terms({1, 2}, voters({1, 2, 3}), 3));
      auto ask = message(raft_message_type::vote, 2, 1, 4);
      ask.log_index = r.index;
      ask.log_term = r.term;
      group[1].step(ask);
      group.drain(1);
      CAPTURE(r.index);
      CAPTURE(r.term);
      CHECK(group.network().back().reject == r.reject);
    }
  }

  TEST_CASE("duelling pre-candidates raise no term (TestDuelingPreCandidates)") {
    hand_driven_group group(3);
    group.cut(1, 3);
    group[1].campaign();
    group[3].campaign();
    group.settle();
    CHECK(group.role(1) == raft_role::leader);
    group.heal();
    group[3].campaign();
    group.settle();
    CHECK(group.role(1) == raft_role::leader);
    CHECK(group[3].term() == 2);
    CHECK(group.role(3) == raft_role::pre_candidate);
  }

  TEST_CASE("pre-vote: a member that was cut off does not disturb the leader when it returns") {
    hand_driven_group group(3);
    group.elect(1);
    group.isolate(3);
    group.tick(3, 200);
    CHECK(group[3].term() == 2); // it campaigned twenty times and never raised its term
    group.heal();
    group.tick(3, 20);
    CHECK(group.role(1) == raft_role::leader);
    CHECK(group[1].term() == 2);
    group.tick(1, 2);
    CHECK(group[3].leader() == 1);
  }

  TEST_CASE("pre-vote with a split vote still ends with a leader (TestPreVoteWithSplitVote)") {
    hand_driven_group group(3);
    group.elect(1);
    group.isolate(1);
    group.tick(2, 11);
    group.tick(3, 11);
    CHECK(((group.role(2) == raft_role::leader) != (group.role(3) == raft_role::leader)));
  }

  TEST_CASE("who hears a leader votes for nobody, up to the election timeout (TestLeaderElectionWithCheckQuorum)") {
    hand_driven_group group(3);
    group.elect(1);
    auto ask = message(raft_message_type::vote, 3, 2, 9);
    ask.log_index = 50;
    ask.log_term = 8;
    for (int i = 0; i < 9; ++i)
      group[2].tick();
    group[2].step(ask);
    CHECK(group[2].term() == 2); // not even the term is taken over
    hand_driven_group later(3, [](raft_options& o) { o.random = [] { return 5u; }; });
    later.elect(1);
    for (int i = 0; i < 10; ++i)
      later[2].tick();
    later[2].step(ask);
    CHECK(later[2].term() == 9);
  }

  TEST_CASE("a leader in its lease ignores candidates of higher terms, except in a hand-over") {
    hand_driven_group group(3);
    group.elect(1);
    auto ask = message(raft_message_type::vote, 3, 1, 9);
    ask.log_index = 50;
    ask.log_term = 8;
    group[1].step(ask);
    CHECK(group.role(1) == raft_role::leader);
    ask.force = true;
    group[1].step(ask);
    CHECK(group.role(1) == raft_role::follower);
  }

  TEST_CASE("check-quorum: a leader without a majority steps down within two election timeouts, not before one "
            "(TestLeaderStepdownWhenQuorumLost)") {
    hand_driven_group group(3);
    group.elect(1);
    group.isolate(1);
    group.tick(1, 9);
    CHECK(group.role(1) == raft_role::leader);
    group.tick(1, 11);
    CHECK(group.role(1) == raft_role::follower);
  }

  TEST_CASE("check-quorum: one of two followers is enough (TestLeaderStepdownWhenQuorumActive)") {
    hand_driven_group group(3);
    group.elect(1);
    group.isolate(3);
    for (int i = 0; i < 50; ++i)
      group.tick(1, 1);
    CHECK(group.role(1) == raft_role::leader);
  }

  TEST_CASE(
      "a candidate with a stuck higher term is freed by the leader's word (TestFreeStuckCandidateWithCheckQuorum)") {
    hand_driven_group group(3);
    group.elect(1);
    group[3].step(message(raft_message_type::heartbeat_reply, 2, 3, 7)); // member 3 is now in term 7
    REQUIRE(group[3].term() == 7);
    group.tick(1, 1); // the heartbeat of term 2 is answered with term 7, and the leader steps down
    CHECK(group[1].term() == 7);
    group.tick_all(40);
    const auto leaders = (group.role(1) == raft_role::leader) + (group.role(2) == raft_role::leader) +
                         (group.role(3) == raft_role::leader);
    CHECK(leaders == 1);
    CHECK(group[1].term() == group[3].term());
  }

  TEST_CASE("a learner never campaigns but votes when asked (TestLearnerElectionTimeout, TestLearnerCanVote)") {
    hand_driven_group group(1);
    group.elect(1);
    group.add(2, false);
    group.change(1, kind::add_learner, 2);
    CHECK(group[2].members().learners == std::vector<member_id>{2});
    group.isolate(2);
    group.tick(2, 100);
    CHECK(group.role(2) == raft_role::follower);
    auto ask = message(raft_message_type::vote, 9, 2, 20);
    ask.log_index = 99;
    ask.log_term = 19;
    group[2].step(ask);
    group.drain(2);
    CHECK(group.network().back().type == raft_message_type::vote_reply);
    CHECK_FALSE(group.network().back().reject);
  }

  TEST_CASE("a member whose disk has forgotten promises follows, but neither votes nor campaigns") {
    hand_driven_group group(3, [](raft_options& o) { o.withhold_vote = o.self == 3; });
    group.isolate(2);
    group.tick(3, 100);
    CHECK(group.role(3) == raft_role::follower);
    group.tick(1, 100);
    CHECK(group.role(1) != raft_role::leader); // 3 gave no vote
    group.heal();
    group.tick(1, 20);
    CHECK(group.role(1) == raft_role::leader);
    group.propose(1, "x");
    CHECK(group.applied(3) == strings{"x"});
  }
}
