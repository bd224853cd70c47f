#include <random>

#include <doctest/doctest.h>

#include "runtime/consensus/write_batch.hpp"

using namespace prunella::runtime;
using prunella::storage::raft_log_batch;

namespace {

shared_entry entry(std::uint64_t term, std::uint64_t index) {
  return shared_entry({term, index, entry_kind::command, std::to_string(term) + "@" + std::to_string(index)});
}

write_request request(std::uint64_t truncate_from, std::vector<shared_entry> entries) {
  write_request r;
  r.ticket = 1;
  r.has_state = true;
  r.truncate_from = truncate_from;
  r.entries = std::move(entries);
  return r;
}

/// storage::raft_log::append, on a list.
void append(std::vector<log_entry>& log, const raft_log_batch& batch) {
  while (batch.truncate_from != 0 && !log.empty() && log.back().index >= batch.truncate_from)
    log.pop_back();
  for (const auto& e : batch.entries) {
    REQUIRE(e.index == log.size() + 1);
    log.push_back(e);
  }
}

} // namespace

TEST_CASE("requests without snapshots become one transaction, replaced entries are not written") {
  const auto steps = merge(
      {request(0, {entry(1, 1), entry(1, 2), entry(1, 3)}), request(2, {entry(2, 2)}), request(0, {entry(2, 3)})});
  REQUIRE(steps.size() == 1);
  CHECK(steps[0].batch.truncate_from == 0); // the disk never had what was replaced
  REQUIRE(steps[0].batch.entries.size() == 3);
  CHECK(steps[0].batch.entries[1].term == 2);
}

TEST_CASE("a truncation that reaches before the batch is kept, the lowest one wins") {
  const auto steps =
      merge({request(5, {entry(2, 5), entry(2, 6)}), request(4, {entry(3, 4)}), request(4, {entry(4, 4)})});
  REQUIRE(steps.size() == 1);
  CHECK(steps[0].batch.truncate_from == 4);
  REQUIRE(steps[0].batch.entries.size() == 1);
  CHECK(steps[0].batch.entries[0].term == 4);
}

TEST_CASE("a snapshot begins a new step, after what came before it") {
  auto with_snapshot = request(0, {entry(2, 9)});
  with_snapshot.snapshot = std::make_shared<const raft_snapshot>(raft_snapshot{8, 2, {{1}, {}}, "s"});
  with_snapshot.compact_to = 7;
  const auto steps = merge({request(0, {entry(1, 1)}), with_snapshot, request(0, {entry(2, 10)})});
  REQUIRE(steps.size() == 2);
  CHECK((steps[0].snapshot == nullptr));
  CHECK((steps[1].snapshot != nullptr));
  CHECK(steps[1].compact_to == 7);
  CHECK(steps[1].batch.entries.size() == 2);
}

TEST_CASE("merged requests leave the log that the single ones would have left (2000 random rows)") {
  std::mt19937_64 random(7);
  for (int row = 0; row < 2000; ++row) {
    std::vector<log_entry> one_by_one;
    std::vector<log_entry> merged;
    const auto already = random() % 6;
    for (std::uint64_t i = 1; i <= already; ++i)
      one_by_one.push_back(*entry(1, i));
    merged = one_by_one;
    std::vector<write_request> requests;
    for (std::uint64_t n = 1 + random() % 5, term = 2; n > 0; --n, ++term) {
      const auto from = 1 + random() % (one_by_one.size() + 1);
      auto r = request(from <= one_by_one.size() ? from : 0, {});
      for (std::uint64_t k = 1 + random() % 4, index = from; k > 0; --k, ++index)
        r.entries.push_back(entry(term, index));
      append(one_by_one, merge({r}).at(0).batch);
      requests.push_back(std::move(r));
    }
    const auto steps = merge(requests);
    REQUIRE(steps.size() == 1);
    append(merged, steps[0].batch);
    CAPTURE(row);
    REQUIRE(merged == one_by_one);
  }
}

TEST_CASE("old entries go a few at a time: 64 and two for each new one, never beyond the goal") {
  CHECK(compaction_piece(1, 0, 100) == 0);
  CHECK(compaction_piece(11, 10, 100) == 0);
  CHECK(compaction_piece(10, 10, 0) == 10);
  CHECK(compaction_piece(1, 10'000, 0) == 64);
  CHECK(compaction_piece(1, 10'000, 100) == 264);
  CHECK(compaction_piece(501, 10'000, 1) == 566);
  CHECK(compaction_piece(9'990, 10'000, 100) == 10'000);
}
