// The values below the algorithm: log, window, majorities (etcd raft: log_test.go, tracker/, quorum/).

#include <doctest/doctest.h>

#include "runtime/consensus/log_view.hpp"
#include "runtime/consensus/membership.hpp"
#include "runtime/consensus/progress.hpp"

using namespace prunella::runtime;

namespace {

log_view log_of(const std::vector<std::uint64_t>& terms) {
  log_view log;
  for (auto term : terms)
    log.append(shared_entry({term, log.last_index() + 1, entry_kind::command, "x"}));
  return log;
}

} // namespace

TEST_CASE("two logs may agree at the last entry whose term is not above the asked one (TestFindConflictByTerm)") {
  const auto log = log_of({2, 2, 5, 5, 5});
  CHECK(log.last_possible_match(5, 6) == entry_id{5, 5});
  CHECK(log.last_possible_match(5, 4) == entry_id{2, 2});
  CHECK(log.last_possible_match(4, 5) == entry_id{4, 5});
  CHECK(log.last_possible_match(100, 5) == entry_id{5, 5});
  CHECK(log.last_possible_match(5, 1) == entry_id{0, 0});
}

TEST_CASE("a slice ends before the byte limit is exceeded, but has at least one entry (TestSlice)") {
  const auto log = log_of({1, 1, 1, 1}); // each weighs 33
  CHECK(log.slice(1, 4, 66).size() == 2);
  CHECK(log.slice(1, 4, 65).size() == 1);
  CHECK(log.slice(1, 4, 0).size() == 1);
  CHECK(log.slice(2, 3, 1000).size() == 2);
  CHECK(log.slice(5, 9, 1000).empty());
}

TEST_CASE("entries go to the disk once, and again only from a truncation on (TestUnstableTruncateAndAppend)") {
  auto log = log_of({1, 1, 1});
  auto first = log.take_unwritten();
  CHECK(first.entries.size() == 3);
  CHECK_FALSE(first.truncates);
  CHECK_FALSE(log.has_unwritten());
  log.persisted_up_to(3);
  log.truncate_from(2);
  CHECK(log.persisted() == 1);
  CHECK_FALSE(log.has_unwritten()); // the disk may keep what nothing replaces
  log.append(shared_entry({2, 2, entry_kind::command, "y"}));
  auto second = log.take_unwritten();
  CHECK(second.entries.size() == 1);
  CHECK(second.truncates);
  log.append(shared_entry({2, 3, entry_kind::command, "z"}));
  CHECK_FALSE(log.take_unwritten().truncates); // the disk's third entry went with the second
}

TEST_CASE("entries that another's replaced before they went to the disk are never written") {
  auto log = log_of({1, 1, 1});
  log.truncate_from(2);
  log.append(shared_entry({2, 2, entry_kind::command, "y"}));
  auto written = log.take_unwritten();
  REQUIRE(written.entries.size() == 2);
  CHECK(written.entries[1]->term == 2);
  CHECK_FALSE(written.truncates);
}

TEST_CASE("terms are known from the offset to the end, not beyond (TestTerm)") {
  auto log = log_of({1, 2, 3});
  log.take_unwritten();
  log.persisted_up_to(3);
  log.take_snapshot(std::make_shared<const raft_snapshot>(raft_snapshot{2, 2, {{1}, {}}, ""}), 2);
  CHECK_FALSE(log.term_at(1));
  CHECK(log.term_at(2) == 2u);
  CHECK(log.term_at(3) == 3u);
  CHECK_FALSE(log.term_at(4));
}

TEST_CASE("the window counts appends and bytes, and frees them in order (TestInflightFreeTo, TestInflightsFull)") {
  inflight_window window(3, 100);
  window.add(5, 40);
  window.add(6, 40);
  CHECK_FALSE(window.full());
  window.add(9, 20);
  CHECK(window.full());
  window.free_to(4);
  CHECK(window.count() == 3);
  window.free_to(6);
  CHECK(window.count() == 1);
  CHECK(window.bytes() == 20);
  window.add(10, 80);
  CHECK(window.full()); // by bytes
  window.clear();
  CHECK_FALSE(window.full());
}

TEST_CASE("an old rejection moves nothing, a fresh one never below what is known to match (TestProgressMaybeDecr)") {
  progress peer;
  peer.match = 3;
  peer.next = 10;
  CHECK_FALSE(peer.decrease(5, 5)); // probing at 9, this answers something older
  CHECK(peer.next == 10);
  CHECK(peer.decrease(9, 6));
  CHECK(peer.next == 7);
  CHECK(peer.decrease(6, 1));
  CHECK(peer.next == 4);
  peer.become_replicate();
  peer.next = 20;
  CHECK(peer.decrease(15, 2));
  CHECK(peer.next == 4);
}

TEST_CASE("a member whose log was lost starts a new epoch with nothing acknowledged") {
  progress peer;
  peer.match = 9;
  peer.become_replicate();
  peer.next = 15;
  peer.inflights = inflight_window(4, 1000);
  peer.inflights.add(14, 10);
  peer.restart(5);
  CHECK(peer.epoch == 1);
  CHECK(peer.match == 0);
  CHECK(peer.next == 6);
  CHECK(peer.state == progress_state::probe);
  CHECK_FALSE(peer.paused());
  CHECK(peer.inflights.count() == 0);
}

TEST_CASE("a majority is more than half: of 1, 2, 3, 4, 5 voters it is 1, 2, 2, 3, 3 (majority_commit)") {
  const auto committed = [](std::vector<std::uint64_t> indexes) {
    raft_membership members;
    for (std::size_t i = 0; i < indexes.size(); ++i)
      members.voters.push_back(i + 1);
    return majority_index(members, [&](member_id id) { return indexes[id - 1]; });
  };
  CHECK(committed({}) == 0);
  CHECK(committed({7}) == 7);
  CHECK(committed({7, 3}) == 3);
  CHECK(committed({7, 3, 5}) == 5);
  CHECK(committed({7, 3, 5, 1}) == 3);
  CHECK(committed({7, 7, 7, 0, 0}) == 7);
  CHECK(committed({7, 7, 0, 0, 0}) == 0);
}

TEST_CASE("votes are won with a majority and lost when it is out of reach (majority_vote)") {
  const auto outcome = [](std::vector<int> votes) {
    raft_membership members;
    for (std::size_t i = 0; i < votes.size(); ++i)
      members.voters.push_back(i + 1);
    return count_votes(members, [&](member_id id) { return votes[id - 1]; });
  };
  CHECK(outcome({}) == vote_outcome::lost);
  CHECK(outcome({0}) == vote_outcome::pending);
  CHECK(outcome({1, 0}) == vote_outcome::pending);
  CHECK(outcome({1, -1}) == vote_outcome::lost);
  CHECK(outcome({1, 1, -1}) == vote_outcome::won);
  CHECK(outcome({1, 1, 0, -1}) == vote_outcome::pending);
  CHECK(outcome({1, 1, -1, -1}) == vote_outcome::lost);
}

TEST_CASE("the membership in force is the latest in the log, and goes back with a truncation") {
  membership_history history(4, {{1}, {}});
  history.append(6, {{1, 2}, {}});
  history.append(9, {{1, 2, 3}, {}});
  CHECK(history.at(5).voters.size() == 1);
  CHECK(history.at(6).voters.size() == 2);
  CHECK(history.at(100).voters.size() == 3);
  CHECK_FALSE(history.truncate_from(10));
  CHECK(history.truncate_from(9));
  CHECK(history.current().voters.size() == 2);
  CHECK(history.current_since() == 6);
  history.compact(8);
  CHECK(history.truncate_from(1) == false); // the base stays
  CHECK(history.current().voters.size() == 2);
}
