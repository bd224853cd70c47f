#include <algorithm>

#include <doctest/doctest.h>

#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>

#include "tests/runtime/consensus_actors.hpp"
#include "runtime/exit_reason.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella::tests;
using strings = std::vector<std::string>;

namespace {

std::size_t count(const strings& list, const std::string& what) {
  return static_cast<std::size_t>(std::count(list.begin(), list.end(), what));
}

} // namespace

TEST_CASE("three members elect a leader, and a command is applied by all of them and answered with its result") {
  actor_group group(3);
  const auto leader = group.wait_for_leader();
  REQUIRE(leader != 0);
  const auto answer = group.propose(leader, "a");
  REQUIRE(answer);
  CHECK(answer->result == "done: a");
  group.world.advance(100ms);
  for (member_id id : {1, 2, 3})
    CHECK(group.at(id).machine->commands == strings{"a"});
}

TEST_CASE("a follower refuses commands and names the leader") {
  actor_group group(3);
  const auto leader = group.wait_for_leader();
  group.world.advance(100ms);
  const auto follower = leader == 1 ? 2u : 1u;
  const auto answer = group.propose(follower, "a");
  REQUIRE_FALSE(answer);
  CHECK(answer.error() == consensus_errc::not_leader);
  CHECK(leader_hint(answer.error()) == leader);
}

TEST_CASE("a killed leader is replaced within two election timeouts and nothing acknowledged is lost") {
  actor_group group(3);
  const auto first = group.wait_for_leader();
  REQUIRE(group.propose(first, "before"));
  group.kill(first);
  const auto killed_at = group.world.elapsed();
  const auto second = group.wait_for_leader();
  REQUIRE(second != 0);
  CHECK((group.world.elapsed() - killed_at <= 1100ms)); // 10 to 20 ticks of 50 ms, and two round trips
  REQUIRE(group.propose(second, "after"));
  group.start(first);
  group.world.advance(1s);
  CHECK(group.at(first).machine->commands == strings{"before", "after"});
}

TEST_CASE("told that the leader's connection is gone, the others elect within two ticks, whatever the seed") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    actor_group group(3, seed);
    const auto first = group.wait_for_leader();
    group.world.advance(200ms);
    group.kill(first);
    const auto killed_at = group.world.elapsed();
    for (member_id id : {1, 2, 3})
      if (id != first)
        caf::anon_send(group.at(id).consensus, peer_lost{first});
    REQUIRE(group.wait_for_leader() != 0);
    CHECK((group.world.elapsed() - killed_at <= 100ms));
  }
}

TEST_CASE("told so however long after its last heartbeat, one of them stands and the vote is not split") {
  for (auto since = 0ms; since < 250ms; since += 5ms) {
    actor_group group(3, 1, [](consensus_options& x) { // as a site's: 5 ticks of 25 ms, elections after 20 to 40
      x.tick_interval = 25ms;
      x.raft.heartbeat_ticks = 5;
      x.raft.election_ticks = 20;
      x.raft.disk_patience_ticks = 80;
    });
    const auto first = group.wait_for_leader();
    group.world.advance(1s + since);
    const auto term = group.status(first).term;
    group.kill(first);
    group.world.advance(2ms); // what it sent last arrives before the end of its connection
    const auto killed_at = group.world.elapsed();
    for (member_id id : {1, 2, 3})
      if (id != first)
        caf::anon_send(group.at(id).consensus, peer_lost{first});
    const auto second = group.wait_for_leader();
    CAPTURE(since.count());
    REQUIRE(second != 0);
    CHECK((group.world.elapsed() - killed_at <= 50ms));
    CHECK(group.status(second).term == term + 1);
  }
}

TEST_CASE("commands during failovers on a bad network are kept if acknowledged, and applied at most once") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    actor_group group(3, seed);
    group.lose(50);
    std::map<std::string, actor_group::pending<command_applied>> asked;
    for (int round = 0; round < 12; ++round) {
      const auto leader = group.leader();
      for (member_id id : {1, 2, 3})
        for (int i = 0; i < 3; ++i)
          if (group.at(id).consensus) {
            const auto name = std::to_string(id) + "/" + std::to_string(round) + "/" + std::to_string(i);
            asked[name] = group.ask_later<command_applied>(id, propose_command{name, 800ms});
          }
      group.world.advance(15ms);
      if (round % 3 == 2 && leader != 0) {
        group.kill(leader);
        group.world.advance(700ms);
        group.start(leader);
      }
      group.world.advance(500ms);
    }
    group.lose(0);
    group.world.advance(3s);
    const auto leader = group.wait_for_leader();
    REQUIRE(leader != 0);
    REQUIRE(group.propose(leader, "last"));
    group.world.advance(500ms);
    CAPTURE(seed);
    const auto& history = group.at(1).machine->commands;
    CHECK(group.at(2).machine->commands == history);
    CHECK(group.at(3).machine->commands == history);
    std::size_t acknowledged = 0;
    for (const auto& [name, answer] : asked) {
      const auto times = count(history, name);
      CHECK(times <= 1);
      if (answer.ok()) {
        ++acknowledged;
        CHECK(times == 1);
      } else if (answer.done() &&
                 (answer.error() == consensus_errc::not_leader || answer.error() == consensus_errc::busy ||
                  answer.error() == consensus_errc::dropped || answer.error() == consensus_errc::starting)) {
        CHECK(times == 0); // those errors promise it
      }
    }
    CHECK(acknowledged > 5);
  }
}

TEST_CASE("a cut-off leader's commands are unknown at their timeout, or dropped when it hears what took their place") {
  actor_group group(3);
  const auto first = group.wait_for_leader();
  group.cut(first);
  const auto impatient = group.ask_later<command_applied>(first, propose_command{"x", 300ms});
  const auto patient = group.ask_later<command_applied>(first, propose_command{"y", 60s});
  group.world.advance(299ms);
  CHECK_FALSE(impatient.done());
  group.world.advance(51ms); // deadlines are looked at once per tick
  CHECK(impatient.error() == consensus_errc::outcome_unknown);
  group.world.advance(3s);
  CHECK_FALSE(patient.done());
  group.heal();
  group.world.advance(2s);
  CHECK(patient.error() == consensus_errc::dropped);
  CHECK(count(group.at(first).machine->commands, "y") == 0);
}

TEST_CASE("a hundred commands that wait together cost one disk transaction on each member") {
  actor_group group(3);
  const auto leader = group.wait_for_leader();
  REQUIRE(group.propose(leader, "first"));
  group.world.advance(200ms);
  std::map<member_id, std::uint64_t> before;
  for (member_id id : {1, 2, 3})
    before[id] = group.at(id).disk->appends;
  std::vector<actor_group::pending<command_applied>> answers;
  for (int i = 0; i < 100; ++i)
    answers.push_back(group.ask_later<command_applied>(leader, propose_command{"c" + std::to_string(i), 0ms}));
  group.world.advance(200ms);
  for (const auto& answer : answers)
    CHECK(answer.ok());
  for (member_id id : {1, 2, 3})
    CHECK(group.at(id).disk->appends - before[id] <= 2);
}

TEST_CASE("an idle group writes nothing") {
  actor_group group(3);
  const auto leader = group.wait_for_leader();
  REQUIRE(group.propose(leader, "a"));
  group.world.advance(1s);
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  for (member_id id : {1, 2, 3})
    before += group.at(id).disk->appends;
  group.world.advance(60s);
  for (member_id id : {1, 2, 3})
    after += group.at(id).disk->appends;
  CHECK(after == before);
  CHECK(group.leader() == leader);
}

TEST_CASE("one slow disk of three delays nobody but itself") {
  actor_group group(3);
  const auto leader = group.wait_for_leader();
  const auto slow = leader == 1 ? 2u : 1u;
  group.kill(slow);
  group.at(slow).disk_delay = 5s;
  group.start(slow);
  group.world.advance(100ms);
  const auto asked_at = group.world.elapsed();
  REQUIRE(group.propose(leader, "a"));
  CHECK(group.world.elapsed() - asked_at < 50ms);
  CHECK(group.at(slow).machine->commands.empty());
  group.world.advance(12s);
  CHECK(group.at(slow).machine->commands == strings{"a"});
}

TEST_CASE("a read barrier on any member shows what was acknowledged before it") {
  actor_group group(3);
  const auto leader = group.wait_for_leader();
  group.world.advance(200ms);
  for (int i = 0; i < 10; ++i) {
    const auto name = "w" + std::to_string(i);
    REQUIRE(group.propose(leader, name));
    const member_id reader = 1 + static_cast<member_id>(i % 3);
    const auto passed = group.world.ask<barrier_passed>(group.at(reader).consensus, 10s, read_barrier{});
    REQUIRE(passed);
    CHECK(count(group.at(reader).machine->commands, name) == 1);
  }
}

TEST_CASE("a read barrier survives lost messages and a change of leader, and ends at its timeout without a majority") {
  actor_group group(3);
  const auto leader = group.wait_for_leader();
  group.world.advance(200ms);
  const auto follower = leader == 1 ? 2u : 1u;
  group.kill(leader);
  const auto asked = group.ask_later<barrier_passed>(follower, read_barrier{10s});
  group.world.advance(5s);
  CHECK(asked.ok());
  group.cut(follower);
  const auto alone = group.ask_later<barrier_passed>(follower, read_barrier{1s});
  group.world.advance(1100ms);
  CHECK(alone.error() == consensus_errc::timed_out);
}

TEST_CASE("a disk that fails stops the member with the log's own sentence, restarted it has lost nothing") {
  actor_group group(3);
  const auto leader = group.wait_for_leader();
  REQUIRE(group.propose(leader, "kept"));
  const auto end = group.world.watch(group.at(leader).consensus);
  group.at(leader).disk->fault = "input/output error on /data";
  const auto asked = group.ask_later<command_applied>(leader, propose_command{"lost or not", 0ms});
  group.world.advance(10ms);
  REQUIRE(end->has_value());
  CHECK(**end == consensus_errc::log_failed);
  CHECK(reason_text(**end).find("input/output error on /data") != std::string::npos);
  CHECK(asked.error() == consensus_errc::outcome_unknown);
  group.at(leader).consensus = nullptr;
  const auto second = group.wait_for_leader();
  REQUIRE(second != 0);
  group.at(leader).disk->fault.clear();
  group.start(leader);
  group.world.advance(2s);
  CHECK(count(group.at(leader).machine->commands, "kept") == 1);
  CHECK(group.at(leader).machine->commands == group.at(second).machine->commands);
}

TEST_CASE("a full disk is waited for: nothing is answered before there is room, and then all of it in order") {
  actor_group group(1);
  const auto only = group.wait_for_leader();
  REQUIRE(group.propose(only, "before"));
  auto& disk = *group.at(only).disk;
  disk.fault = "no room left on /data";
  disk.fault_code = prunella::storage::storage_errc::disk_full;
  const auto first = group.ask_later<command_applied>(only, propose_command{"first", 60s});
  group.world.advance(2s);
  const auto second = group.ask_later<command_applied>(only, propose_command{"second", 60s});
  group.world.advance(2s);
  CHECK_FALSE(first.done());
  CHECK_FALSE(second.done());
  CHECK(group.status(only).role == raft_role::leader);
  CHECK(group.at(only).stalls == strings{"no room left on /data"});
  disk.fault.clear();
  group.world.advance(510ms); // it looks again every 500 ms
  CHECK(first.ok());
  CHECK(second.ok());
  CHECK(group.at(only).stalls == strings{"no room left on /data", ""});
  CHECK(group.at(only).machine->commands == strings{"before", "first", "second"});
}

TEST_CASE("a leader whose disk is full hands over, nothing acknowledged is lost, and with room it catches up") {
  actor_group group(3);
  const auto full = group.wait_for_leader();
  REQUIRE(group.propose(full, "before"));
  group.at(full).disk->fault = "no room left on /data";
  group.at(full).disk->fault_code = prunella::storage::storage_errc::disk_full;
  const auto asked = group.ask_later<command_applied>(full, propose_command{"lost or not", 0ms});
  const auto next = group.wait_for_leader(2s, full);
  REQUIRE(next != 0);
  for (int i = 0; i < 100; ++i)
    REQUIRE(group.propose(next, std::to_string(i)));
  CHECK(group.leader() == next);
  CHECK_FALSE(asked.ok());
  group.at(full).disk->fault.clear();
  group.world.advance(2s);
  CHECK(group.at(full).machine->commands == group.at(next).machine->commands);
  CHECK(count(group.at(full).machine->commands, "before") == 1);
  CHECK(count(group.at(full).machine->commands, "99") == 1);
}

TEST_CASE("what waits for room is forgotten when the log is read anew: its reader was not promised it") {
  actor_group group(1);
  const auto only = group.wait_for_leader();
  REQUIRE(group.propose(only, "kept"));
  auto& disk = *group.at(only).disk;
  const auto before = disk.contents.entries.size();
  disk.fault = "no room left on /data";
  disk.fault_code = prunella::storage::storage_errc::disk_full;
  const auto waiting = group.ask_later<command_applied>(only, propose_command{"waiting", 60s});
  group.world.advance(100ms);
  disk.fault.clear();
  disk.append_fault = "still no room for appends";
  const auto read = group.world.ask<log_contents>(group.at(only).writer, 1s, load_log{[](std::vector<raft_message>) {}});
  REQUIRE(read);
  CHECK(read->contents->entries.size() == before);
  disk.append_fault.clear();
  group.world.advance(2s);
  CHECK(disk.contents.entries.size() == before);
  CHECK_FALSE(waiting.ok());
}

TEST_CASE("a log that cannot be read, or contradicts itself, keeps the member from starting and says why") {
  actor_group group(3);
  group.wait_for_leader();
  group.kill(2);
  group.at(2).disk->fault = "the log is damaged at entry 3";
  group.start(2);
  auto end = group.world.watch(group.at(2).consensus);
  group.world.advance(10ms);
  REQUIRE(end->has_value());
  CHECK(reason_text(**end).find("damaged at entry 3") != std::string::npos);
  group.at(2).disk->fault.clear();
  group.at(2).disk->contents.state.term = 0; // its promises are gone
  group.start(2);
  end = group.world.watch(group.at(2).consensus);
  group.world.advance(10ms);
  REQUIRE(end->has_value());
  CHECK(reason_text(**end).find("promises are lost") != std::string::npos);
  group.at(2).consensus = nullptr;
}

TEST_CASE("a member whose log was repaired follows but does not vote") {
  actor_group group(3);
  const auto leader = group.wait_for_leader();
  const auto repaired = leader == 1 ? 2u : 1u;
  const auto other = 6 - leader - repaired;
  group.kill(repaired);
  group.at(repaired).disk->contents.repaired = true;
  group.start(repaired);
  group.world.advance(500ms);
  REQUIRE(group.propose(leader, "a"));
  group.world.advance(100ms);
  CHECK(group.at(repaired).machine->commands == strings{"a"});
  group.kill(leader);
  group.world.advance(5s);
  CHECK(group.status(other).role != raft_role::leader);
  CHECK(group.status(repaired).role != raft_role::leader);
}

TEST_CASE("a member whose repaired log lost its end gets it again from the same leader, without a new command") {
  actor_group group(3);
  const auto leader = group.wait_for_leader();
  for (const auto* command : {"a", "b", "c"})
    REQUIRE(group.propose(leader, command));
  group.world.advance(500ms); // all have all, and know that it is committed
  const auto repaired = leader == 1 ? 2u : 1u;
  const auto term = group.status(leader).term;
  group.kill(repaired);
  auto& kept = group.at(repaired).disk->contents;
  kept.entries.resize(2);
  kept.repaired = true;
  group.start(repaired);
  group.world.advance(1s);
  CHECK(group.at(repaired).machine->commands == strings{"a", "b", "c"});
  CHECK(group.status(leader).term == term);
  CHECK(group.status(leader).role == raft_role::leader);
}

TEST_CASE("a command that was checked in another term is refused, one of this term or of none is taken") {
  actor_group group(3);
  const auto leader = group.wait_for_leader();
  const auto term = group.status(leader).term;
  const auto propose = [&](std::uint64_t expected) {
    return group.world.ask<command_applied>(group.at(leader).consensus, 60s,
                                            propose_command{std::to_string(expected), 0ms, expected});
  };
  const auto refused = propose(term - 1);
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == consensus_errc::not_leader);
  CHECK(reason_text(refused.error()).find("checked in term " + std::to_string(term - 1)) != std::string::npos);
  CHECK_FALSE(propose(term + 1));
  CHECK(propose(term));
  CHECK(propose(0));
  CHECK(group.at(leader).machine->commands == strings{std::to_string(term), "0"});
}

TEST_CASE("leadership is handed over within a few round trips, and the asker hears to whom") {
  actor_group group(3);
  const auto leader = group.wait_for_leader();
  REQUIRE(group.propose(leader, "a"));
  group.world.advance(100ms);
  const auto asked_at = group.world.elapsed();
  const auto answer = group.world.ask<leadership_changed>(group.at(leader).consensus, 10s, transfer_leadership{});
  REQUIRE(answer);
  CHECK(answer->leader != leader);
  CHECK(group.world.elapsed() - asked_at <= 20ms);
  const auto refused = group.world.ask<leadership_changed>(group.at(leader).consensus, 10s, transfer_leadership{});
  CHECK(refused.error() == consensus_errc::not_leader);
}

TEST_CASE("subscribers hear of each change of leadership and of what is applied") {
  actor_group group(3);
  const auto roles = group.world.collect<leadership_changed>();
  const auto indexes = group.world.collect<log_applied>();
  caf::send_as(roles.handle, group.at(1).consensus, subscribe_consensus{true, false});
  caf::send_as(indexes.handle, group.at(1).consensus, subscribe_consensus{false, true});
  REQUIRE(group.wait_for_leader() == 1);
  REQUIRE(group.propose(1, "a"));
  group.world.settle();
  REQUIRE(roles.got->size() >= 2);
  CHECK(roles.got->front().leader == 0);
  CHECK(roles.got->back() == leadership_changed{raft_role::leader, 1, 2});
  REQUIRE_FALSE(indexes.got->empty());
  CHECK(indexes.got->back().index == 3);
}

TEST_CASE("snapshots keep the log short, and a new member starts from one") {
  actor_group group(1, 1, [](consensus_options& o) {
    o.snapshot_after_entries = 50;
    o.keep_entries = 10;
    o.raft.snapshot_piece_bytes = 100;
  });
  REQUIRE(group.wait_for_leader() == 1);
  for (int i = 0; i < 200; ++i)
    REQUIRE(group.propose(1, "c" + std::to_string(i)));
  CHECK(group.at(1).machine->snapshots >= 3);
  CHECK(group.at(1).disk->contents.entries.size() <= 70);
  group.start(2);
  const auto added = group.world.ask<command_applied>(group.at(1).consensus, 10s,
                                                      change_membership{{membership_change_kind::add_learner, 2}});
  REQUIRE(added);
  group.world.advance(2s);
  CHECK(group.at(2).machine->restores == 1);
  CHECK(group.at(2).machine->commands == group.at(1).machine->commands);
  group.kill(2); // a restart goes back to the snapshot and replays the rest
  group.start(2);
  group.world.advance(2s);
  CHECK(group.at(2).machine->commands == group.at(1).machine->commands);
}

TEST_CASE("commands above the limit of those that wait are refused as busy") {
  actor_group group(3, 1, [](consensus_options& o) { o.max_waiting_commands = 5; });
  const auto leader = group.wait_for_leader();
  group.world.advance(100ms);
  group.cut(leader);
  std::vector<actor_group::pending<command_applied>> answers;
  for (int i = 0; i < 6; ++i)
    answers.push_back(group.ask_later<command_applied>(leader, propose_command{"c", 60s}));
  group.world.settle();
  CHECK_FALSE(answers[4].done());
  CHECK(answers[5].error() == consensus_errc::busy);
}

TEST_CASE("who waits is told when the member stops in order") {
  actor_group group(3);
  const auto leader = group.wait_for_leader();
  group.cut(leader);
  const auto asked = group.ask_later<command_applied>(leader, propose_command{"c", 60s});
  const auto read = group.ask_later<barrier_passed>(leader, read_barrier{60s});
  group.world.settle();
  caf::anon_send_exit(group.at(leader).consensus, caf::exit_reason::user_shutdown);
  group.world.settle();
  CHECK(asked.error() == consensus_errc::outcome_unknown);
  CHECK(read.error() == consensus_errc::timed_out);
  group.at(leader).consensus = nullptr;
}

TEST_CASE("damaged messages of peers are counted and named, and the member lives on") {
  actor_group group(3);
  const auto leader = group.wait_for_leader();
  raft_message bad;
  bad.type = static_cast<raft_message_type>(99);
  bad.from = 2;
  bad.to = leader;
  caf::anon_send(group.at(leader).consensus, bad);
  const auto status = group.status(leader);
  CHECK(status.refused_messages == 1);
  CHECK(status.last_refusal.find("type is unknown") != std::string::npos);
  CHECK(group.propose(leader, "a"));
}

TEST_CASE("every message of the protocol survives CAF's serialization") {
  actor_group group(1);
  raft_message message;
  message.type = raft_message_type::append;
  message.from = 1;
  message.to = 2;
  message.term = 7;
  message.reject = true;
  message.members = {{1, 2}, {3}};
  message.chunk = std::string("\0x", 2);
  message.entries = {shared_entry({6, 8, entry_kind::barrier, ""}), shared_entry({7, 9, entry_kind::command, "data"}),
                     shared_entry{}};
  std::vector<char> bytes;
  caf::binary_serializer sink(group.world.system(), bytes);
  REQUIRE_FALSE(sink(message));
  raft_message copy;
  copy.entries.resize(1);
  caf::binary_deserializer source(group.world.system(), bytes);
  REQUIRE_FALSE(source(copy));
  CHECK((copy == message));
  CHECK(copy.entries[1]->data == "data");
}

TEST_CASE("on the real log, members that all lose power at once come back with everything acknowledged") {
  const temporary_folder folder;
  actor_group group(3, 5, [](consensus_options& o) {
    o.snapshot_after_entries = 20;
    o.keep_entries = 5;
  });
  group.open_log = [&](member_id id) {
    return prunella::storage::open_raft_log(folder / ("raft-" + std::to_string(id) + ".sqlite"), {"site", id});
  };
  for (member_id id : {1, 2, 3}) { // again, on disk this time
    group.kill(id);
    group.start(id, true);
  }
  strings acknowledged;
  for (int power_cut = 0; power_cut < 4; ++power_cut) {
    const auto leader = group.wait_for_leader();
    REQUIRE(leader != 0);
    for (int i = 0; i < 15; ++i) {
      const auto name = std::to_string(power_cut) + "/" + std::to_string(i);
      if (const auto answer = group.propose(leader, name))
        acknowledged.push_back(name);
    }
    for (member_id id : {1, 2, 3})
      group.kill(id);
    for (member_id id : {1, 2, 3})
      group.start(id, true);
  }
  const auto leader = group.wait_for_leader();
  REQUIRE(leader != 0);
  REQUIRE(group.propose(leader, "last"));
  group.world.advance(1s);
  acknowledged.push_back("last");
  CHECK(acknowledged.size() == 61);
  for (member_id id : {1, 2, 3})
    CHECK(group.at(id).machine->commands == acknowledged);
  CHECK(group.status(leader).snapshot_index > 0);
}
