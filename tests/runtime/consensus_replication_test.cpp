// Replication and commitment.
// Names of etcd-raft's tests (raft_test.go, raft_paper_test.go, testdata/) and of Ongaro 2014's figures in parentheses.

#include <doctest/doctest.h>

#include "tests/runtime/consensus_group.hpp"

using namespace prunella::tests;
using strings = std::vector<std::string>;
using kind = membership_change_kind;

TEST_SUITE("replication") {
  TEST_CASE("a command is applied everywhere, in order (TestLogReplication)") {
    hand_driven_group group(3);
    group.elect(1);
    group.propose(1, "a");
    group.propose(1, "b");
    for (member_id id : {1, 2, 3})
      CHECK(group.applied(id) == strings{"a", "b"});
  }

  TEST_CASE("without a majority nothing is committed, and another majority may go on without it "
            "(TestCannotCommitWithoutNewTermEntry)") {
    hand_driven_group group(5);
    group.elect(1);
    for (member_id id : {3, 4, 5})
      group.cut(1, id);
    group.propose(1, "a");
    group.propose(1, "b");
    CHECK(group.applied(1).empty());
    group.heal();
    group.take_over(1, 3); // without the entries
    CHECK(group.role(3) == raft_role::leader);
    CHECK(group.applied(3).empty());
  }

  TEST_CASE("entries of a lost leader that a majority may hold are committed by the next one's barrier "
            "(TestCommitWithoutNewTermEntry)") {
    hand_driven_group group(3);
    group.elect(1);
    group.lost = [](const raft_message& m) { return m.type == raft_message_type::append_reply; };
    group.propose(1, "a");
    group.propose(1, "b");
    CHECK(group.applied(1).empty());
    group.lost = {};
    group.take_over(1, 2);
    REQUIRE(group.role(2) == raft_role::leader);
    CHECK(group.applied(2) == strings{"a", "b"}); // by the barrier of its own term
  }

  TEST_CASE("a leader never commits an entry of an old term by counting replicas (Ongaro 2014, figure 3.7, "
            "TestLeaderOnlyCommitsLogFromCurrentTerm)") {
    // S1 leads term 4 with an entry of term 2 at index 2; followers confirm it one after the other.
    hand_driven_group group(5);
    group.add(1, true, log_of_terms({1, 2}, voters({1, 2, 3, 4, 5}), 3));
    group.elect(1);
    REQUIRE(group[1].term() == 4);
    hand_driven_group alone(5);
    alone.add(1, true, log_of_terms({1, 2}, voters({1, 2, 3, 4, 5}), 3));
    alone.lost = [](const raft_message& m) { return m.type == raft_message_type::append; };
    alone.elect(1);
    REQUIRE(alone.role(1) == raft_role::leader);
    auto reply = message(raft_message_type::append_reply, 2, 1, 4);
    reply.log_index = 2;
    CHECK(alone[1].step(reply).empty());
    reply.from = 3;
    CHECK(alone[1].step(reply).empty());
    CHECK(alone[1].commit() == 1); // index 2 is on three of five, and yet not committed
    reply.log_index = 3;           // its barrier, of term 4
    CHECK(alone[1].step(reply).empty());
    reply.from = 2;
    CHECK(alone[1].step(reply).empty());
    CHECK(alone[1].commit() == 3);
    CHECK(group[1].commit() == 3);
  }

  TEST_CASE("an uncommitted entry of a lost leader is overwritten (Ongaro 2014, figure 3.7 d, "
            "TestLeaderElectionOverwriteNewerLogs)") {
    hand_driven_group group(3);
    group.elect(1);
    group.isolate(1);
    const auto lost = group[1].propose("lost");
    group.settle();
    group.take_over(1, 2);
    REQUIRE(group.role(2) == raft_role::leader);
    group.propose(2, "kept");
    group.heal();
    group.tick_all(12);
    CHECK(group.applied(1) == strings{"kept"});
    CHECK(group[1].log().at(lost.index)->term != lost.term); // how its proposer learns that it is gone
  }

  TEST_CASE("logs of every shape in figure 3.6 are brought in line (TestLeaderSyncFollowerLog)") {
    const std::vector<std::uint64_t> leader = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
    const std::vector<std::vector<std::uint64_t>> followers = {
        {1, 1, 1, 4, 4, 5, 5, 6, 6},          // a: missing
        {1, 1, 1, 4},                         // b: missing
        {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},    // c: one too many
        {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7}, // d: a term too many
        {1, 1, 1, 4, 4, 4, 4},                // e: both
        {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3},    // f: both, long ago
    };
    for (const auto& terms : followers) {
      hand_driven_group group(3);
      group.add(1, true, log_of_terms(leader, voters({1, 2, 3}), 8));
      group.add(2, true, log_of_terms(terms, voters({1, 2, 3}), 8));
      group.add(3, true, log_of_terms({1}, voters({1, 2, 3}), 8)); // the vote that is needed
      group.elect(1);
      REQUIRE(group.role(1) == raft_role::leader);
      group.tick(1, 3);
      CAPTURE(terms.size());
      CHECK(group[2].log().last_index() == 11);
      for (std::uint64_t i = 1; i <= 10; ++i)
        CHECK(group[2].log().term_at(i) == leader[i - 1]);
      CHECK(group[2].commit() == 11);
    }
  }

  TEST_CASE("a rejection skips whole terms: far apart logs meet within a few probes (TestFastLogRejection)") {
    std::vector<std::uint64_t> leader = {1};
    std::vector<std::uint64_t> follower = {1};
    leader.insert(leader.end(), 100, 5);
    follower.insert(follower.end(), 200, 3);
    hand_driven_group group(3);
    group.add(1, true, log_of_terms(leader, voters({1, 2, 3}), 6));
    group.add(2, true, log_of_terms(follower, voters({1, 2, 3}), 6));
    group.add(3, true, log_of_terms({1}, voters({1, 2, 3}), 6));
    int rejections = 0;
    group.lost = [&](const raft_message& m) {
      rejections += m.type == raft_message_type::append_reply && m.reject && m.from == 2;
      return false;
    };
    group.elect(1);
    CHECK(group[2].log().last_index() == 102);
    CHECK(rejections <= 2);
  }

  TEST_CASE("a follower acknowledges entries only once they are on its disk") {
    hand_driven_group group(3);
    group.elect(1);
    for (member_id id : {2, 3})
      group.at(id).disk_answers = false;
    group.propose(1, "a");
    CHECK(group.applied(1).empty());
    group.sync(2);
    group.settle();
    CHECK(group.applied(1) == strings{"a"});
    CHECK(group.applied(3).empty());
  }

  TEST_CASE("a leader counts itself only once its own disk has the entry, and may commit before (10.2.1)") {
    hand_driven_group group(3);
    group.elect(1);
    group.at(1).disk_answers = false;
    group.isolate(3);
    group.propose(1, "a");
    CHECK(group[1].commit() == 2); // 1 and 2 hold it, but only 2 has it on disk
    group.heal();
    group.tick(1, 1);
    CHECK(group[1].commit() == 3);   // 2 and 3 have it
    CHECK(group.applied(1).empty()); // but this member's state machine waits for its own disk
    CHECK(group.applied(2).empty() == false);
    group.sync(1);
    group.settle();
    CHECK(group.applied(1) == strings{"a"});
  }

  TEST_CASE("a write that comes back after its entries were replaced twice proves nothing (async append ABA race)") {
    hand_driven_group group(3);
    group.at(1).disk_answers = false;
    const auto append_of = [&](member_id from, std::uint64_t term, std::uint64_t entry_term) {
      auto m = message(raft_message_type::append, from, 1, term);
      m.log_index = 1;
      m.log_term = 1;
      m.entries.emplace_back(log_entry{entry_term, 2, entry_kind::command, "t" + std::to_string(entry_term)});
      CHECK(group[1].step(m).empty());
      group.drain(1);
    };
    append_of(2, 2, 2);
    append_of(3, 3, 3);
    append_of(2, 4, 2); // the entry of term 2 is back
    const auto tickets = group.at(1).writes;
    REQUIRE(tickets.size() == 3);
    group[1].persisted(tickets[0].ticket); // the disk has it, but will drop it with the second write
    CHECK(group[1].log().persisted() == 1);
    group[1].persisted(tickets[1].ticket);
    CHECK(group[1].log().persisted() == 1);
    group[1].persisted(tickets[2].ticket);
    CHECK(group[1].log().persisted() == 2);
  }

  TEST_CASE("appends flow ahead of answers up to the window, in count and bytes (TestMsgAppFlowControlFull)") {
    hand_driven_group group(2, [](raft_options& o) {
      o.max_inflight_appends = 3;
      o.max_append_bytes = 1;
    });
    group.elect(1);
    group.drain(1);
    for (int i = 0; i < 10; ++i)
      group[1].propose("x");
    CHECK(outbox(group, 1).size() == 3);
    CHECK(outbox(group, 1).empty());
    auto reply = message(raft_message_type::append_reply, 2, 1, 2);
    reply.log_index = 4; // barrier is 2: two of the three are answered
    CHECK(group[1].step(reply).empty());
    CHECK(outbox(group, 1).size() == 2);

    hand_driven_group bytes(2, [](raft_options& o) {
      o.max_inflight_bytes = 100;
      o.max_append_bytes = 1;
    });
    bytes.elect(1);
    for (int i = 0; i < 10; ++i)
      bytes[1].propose(std::string(68, 'x')); // weighs exactly 100
    CHECK(outbox(bytes, 1).size() == 1);
  }

  TEST_CASE(
      "a full window is asked after at each heartbeat's answer, without further entries: a member with a stuck disk "
      "is not flooded, a lost append is found (TestMsgAppFlowControlRecvHeartbeat)") {
    hand_driven_group group(2, [](raft_options& o) {
      o.max_inflight_appends = 2;
      o.max_append_bytes = 1;
    });
    group.elect(1);
    for (int i = 0; i < 10; ++i)
      group[1].propose("x");
    CHECK(outbox(group, 1).size() == 2); // both get lost
    for (int i = 0; i < 5; ++i) {
      group[1].step(message(raft_message_type::heartbeat_reply, 2, 1, 2));
      const auto asked = outbox(group, 1);
      REQUIRE(asked.size() == 1);
      CHECK(asked[0].entries.empty());
      CHECK(asked[0].log_index == 4);
      if (i == 4)
        group[2].step(asked[0]);
    }
    group.settle();
    CHECK(group[2].log().last_index() == 12);
  }

  TEST_CASE("a leader whose own disk is stuck takes no more than its limit, although the others commit") {
    hand_driven_group group(3, [](raft_options& o) { o.max_unapplied_bytes = 300; });
    group.elect(1);
    group.at(1).disk_answers = false;
    int taken = 0;
    for (int i = 0; i < 20; ++i)
      taken += group.propose(1, std::string(68, 'x')).refusal == raft_refusal::none; // each weighs 100
    CHECK(taken == 3);
    CHECK(group[1].commit() == 5);
    group.sync(1);
    group.settle();
    CHECK(group.propose(1, "x").refusal == raft_refusal::none);
  }

  TEST_CASE("a probe waits for an answer or the next heartbeat (TestSendAppendForProgressProbe)") {
    hand_driven_group group(2);
    group.lost = [](const raft_message& m) { return m.type == raft_message_type::append; };
    group.elect(1);
    REQUIRE(group.role(1) == raft_role::leader);
    group[1].propose("x");
    CHECK(outbox(group, 1).empty());
    group[1].step(message(raft_message_type::heartbeat_reply, 2, 1, 2));
    CHECK(outbox(group, 1).size() == 1);
    CHECK(outbox(group, 1).empty());
  }

  TEST_CASE("a lost append is noticed at the next heartbeat and sent again") {
    hand_driven_group group(3);
    group.elect(1);
    group.lost = [](const raft_message& m) { return m.type == raft_message_type::append && m.to == 2; };
    group.propose(1, "a");
    group.lost = {};
    CHECK(group.applied(2).empty());
    group.tick(1, 2);
    CHECK(group.applied(2) == strings{"a"});
  }

  TEST_CASE("proposals above the uncommitted limit are refused as busy, and taken again after the commit "
            "(TestUncommittedEntryLimit)") {
    hand_driven_group group(3, [](raft_options& o) { o.max_unapplied_bytes = 300; });
    group.elect(1);
    CHECK(group[1].propose(std::string(100, 'x')).refusal == raft_refusal::none); // weighs 132
    CHECK(group[1].propose(std::string(100, 'x')).refusal == raft_refusal::none); // 264
    CHECK(group[1].propose(std::string(36, 'x')).refusal == raft_refusal::none);  // exactly 300, then 332
    CHECK(group[1].propose("x").refusal == raft_refusal::busy);
    group.settle();
    CHECK(group[1].propose(std::string(250, 'x')).refusal == raft_refusal::none);
  }

  TEST_CASE("a command larger than the limit is taken when nothing else waits, but never one above max_entry_bytes") {
    hand_driven_group group(1, [](raft_options& o) {
      o.max_unapplied_bytes = 10;
      o.max_entry_bytes = 100;
    });
    group.elect(1);
    CHECK(group.propose(1, std::string(100, 'x')).refusal == raft_refusal::none);
    CHECK(group.propose(1, std::string(101, 'x')).refusal == raft_refusal::too_large);
  }

  TEST_CASE("only the leader takes proposals (TestProposal)") {
    hand_driven_group group(3);
    CHECK(group[1].propose("x").refusal == raft_refusal::not_leader);
    group.elect(1);
    CHECK(group[2].propose("x").refusal == raft_refusal::not_leader);
    CHECK(group[2].leader() == 1);
  }

  TEST_CASE("an idle group sends heartbeats and writes nothing (TestBcastBeat)") {
    hand_driven_group group(3);
    group.elect(1);
    group.propose(1, "x");
    group.tick(1, 3);
    for (member_id id : {1, 2, 3})
      group.at(id).disk_answers = false;
    group.tick(1, 30);
    for (member_id id : {1, 2, 3})
      CHECK(group.at(id).writes.empty());
  }

  TEST_CASE("one heartbeat in three asks for an answer, and each one to a member that lacks something") {
    hand_driven_group group(3, [](raft_options& o) { o.heartbeats_per_answer = 3; });
    group.elect(1);
    group.tick(1, 3);
    int answers = 0;
    int heard = 0;
    group.lost = [&](const raft_message& m) {
      answers += m.type == raft_message_type::heartbeat_reply;
      heard += m.type == raft_message_type::heartbeat || m.type == raft_message_type::commit_notice;
      return m.to == 3 && m.type == raft_message_type::append;
    };
    group.tick(1, 6);
    CHECK(heard == 12);
    CHECK(answers == 4);
    group.isolate(3);
    group.propose(1, "x");
    group.heal();
    answers = 0;
    group.tick(1, 3);
    CHECK(answers == 1 + 3);
    group.lost = {};
    group.tick(1, 1);
    CHECK(group.applied(3) == strings{"x"});
  }

  TEST_CASE("without answers between every second heartbeat a leader that lost its majority still steps down in time") {
    hand_driven_group group(3, [](raft_options& o) { o.heartbeats_per_answer = 2; });
    group.elect(1);
    group.tick_all(50);
    CHECK(group.role(1) == raft_role::leader);
    group.isolate(1);
    group.tick(1, 20);
    CHECK(group.role(1) == raft_role::follower);
  }

  TEST_CASE("committed entries are handed out in bounded pieces (TestCommitPagination)") {
    hand_driven_group group(1, [](raft_options& o) { o.max_apply_bytes = 200; });
    group.elect(1);
    for (int i = 0; i < 5; ++i)
      group[1].propose(std::string(68, 'x')); // each weighs 100
    auto out = group[1].ready();
    group[1].persisted(out.write.ticket);
    CHECK(group[1].ready().committed.size() == 2);
    CHECK(group[1].ready().committed.size() == 2);
    CHECK(group[1].ready().committed.size() == 1);
    CHECK_FALSE(group[1].has_ready());
  }

  TEST_CASE("an append commits only up to its last entry: what the follower has behind it may be somebody else's "
            "(TestFollowerCommitEntry)") {
    hand_driven_group group(3);
    group.add(2, true, log_of_terms({1, 2, 2}, voters({1, 2, 3}), 3)); // entry 3 is not this leader's
    auto append = message(raft_message_type::append, 1, 2, 3);
    append.log_index = 2;
    append.log_term = 2;
    append.commit = 5;
    CHECK(group[2].step(append).empty());
    CHECK(group[2].commit() == 2);
  }

  TEST_CASE("a heartbeat commits only what is known to agree (TestHandleHeartbeat)") {
    hand_driven_group group(3);
    group.elect(1);
    group.isolate(3);
    group.propose(1, "a");
    group.propose(1, "b");
    group.heal();
    bool seen = false;
    group.lost = [&](const raft_message& m) {
      if (m.to == 3 && m.type == raft_message_type::heartbeat) {
        seen = true;
        CHECK(m.commit <= 2);
      }
      return m.to == 3 && m.type == raft_message_type::append;
    };
    group.tick(1, 1);
    CHECK(seen);
    CHECK(group[3].commit() == 2);
  }

  TEST_CASE("what a member acknowledged and lost is sent to it again by the same leader") {
    hand_driven_group group(3);
    group.elect(1);
    for (const auto* command : {"a", "b", "c"})
      group.propose(1, command);
    group.add(3, false, start_of_log(group[1], 2));
    group.at(3).applied.clear();
    group.tick(1, 2); // its answer to a heartbeat shows where its log ends
    CHECK(group.applied(3) == strings{"a", "b", "c"});
    CHECK(group[1].status().peers.at(3).match == group[1].log().last_index());
    CHECK(group[1].status().peers.at(3).epoch == 1);
  }

  TEST_CASE("an acknowledgement of entries that were lost meanwhile commits nothing, not even when it arrives late") {
    hand_driven_group group(3);
    group.elect(1);
    group.propose(1, "a");
    const auto before = group[1].commit();
    group.cut(1, 2);
    group.at(1).disk_answers = false;
    std::vector<raft_message> late;
    group.lost = [&](const raft_message& m) {
      if (m.type == raft_message_type::append_reply)
        late.push_back(m);
      return false;
    };
    group.propose(1, "b"); // acknowledged by member 3; the leader's own disk is slow
    group.lost = {};
    REQUIRE_FALSE(late.empty());
    group.add(3, false, start_of_log(group[1], 2));
    group.at(3).disk_answers = false;
    group.tick(1, 2); // it is found out, and "b" is on its way to its disk again
    CHECK(group[1].status().peers.at(3).match < before + 1);
    CHECK(group[1].step(late.back()).empty());
    group.sync(1);
    group.settle();
    CHECK(group[1].commit() == before);
    group.at(3).disk_answers = true;
    group.sync(3);
    group.settle();
    CHECK(group[1].commit() == before + 1);
  }

  TEST_CASE("a member that forgot its promises follows but counts neither for commits nor for reads nor for a quorum") {
    hand_driven_group group(3, [](raft_options& x) { x.withhold_vote = x.self == 3; });
    group.elect(1);
    group.propose(1, "a");
    group.isolate(2);
    const auto before = group[1].commit();
    group.propose(1, "b");
    CHECK(group[3].log().last_index() == group[1].log().last_index());
    CHECK(group[1].commit() == before);
    CHECK(group[1].read_index(7) == raft_refusal::none);
    group.settle();
    CHECK(group.at(1).reads.empty());
    group.tick(1, 20);
    CHECK(group.role(1) == raft_role::follower);
    group.tick(2, 10); // it stops believing in its leader
    group.heal();
    group.elect(1);
    CHECK(group.applied(3) == strings{"a", "b"});
  }

  TEST_CASE("a proposal that was checked in another term is refused by name") {
    hand_driven_group group(3);
    group.elect(1);
    const auto term = group[1].term();
    CHECK(group[1].propose("a", term).refusal == raft_refusal::none);
    CHECK(group[1].propose("b", 0).refusal == raft_refusal::none);
    const auto last = group[1].log().last_index();
    for (const auto other : {term - 1, term + 1}) {
      const auto refused = group[1].propose("c", other);
      CHECK(refused.refusal == raft_refusal::not_leader);
      CHECK(refused.why.find("checked in term " + std::to_string(other)) != std::string::npos);
    }
    CHECK(group[1].log().last_index() == last);
  }
}
