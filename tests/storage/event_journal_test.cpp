#include "storage/event_journal.hpp"

#include "tests/storage/damage.hpp"
#include "tests/storage/raft_log_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;
using storage::journal_event;
using storage::storage_errc;

namespace {

const storage::host_owner host{"harbour", "host-1"};

std::unique_ptr<storage::event_journal> open_journal(const std::string& path, storage::journal_options options = {}) {
  return must(storage::open_event_journal(path, host, options));
}

journal_event event(std::uint64_t sequence, std::int64_t time_ms, const std::string& origin = "host-1",
                    const std::string& object = "instance/web-1") {
  return {origin, sequence, time_ms, object, "starting", "running", "started", "cause"};
}

std::vector<std::uint64_t> sequences(const std::vector<journal_event>& events) {
  std::vector<std::uint64_t> numbers;
  for (const auto& one : events)
    numbers.push_back(one.sequence);
  return numbers;
}

using numbers = std::vector<std::uint64_t>;

} // namespace

TEST_CASE("events come back whole, ordered by time, then origin, then sequence") {
  temporary_folder folder;
  const auto path = folder / "events.db";
  must(open_journal(path)->append({event(2, 2000), event(9, 1000, "site"), event(1, 1000), event(3, 2000)}, 3000));
  const auto found = must(open_journal(path)->read({}));
  REQUIRE(found.size() == 4);
  CHECK(found[0] == event(1, 1000));
  CHECK(found[1] == event(9, 1000, "site"));
  CHECK(sequences(found) == numbers{1, 9, 2, 3});
}

TEST_CASE("reading continues behind a position: the event at it is not repeated, the next one is not lost") {
  temporary_folder folder;
  auto journal = open_journal(folder / "events.db");
  must(journal->append({event(1, 1000), event(2, 1000), event(3, 1000, "site"), event(4, 1001)}, 2000));
  storage::journal_query query;
  query.limit = 2;
  CHECK(sequences(must(journal->read(query))) == numbers{1, 2});
  query.after = {1000, "host-1", 2};
  CHECK(sequences(must(journal->read(query))) == numbers{3, 4});
  query.after = {1001, "host-1", 4};
  CHECK(must(journal->read(query)).empty());
  query.after = {};
  query.limit = 0;
  CHECK(must(journal->read(query)).empty());
}

TEST_CASE("a prefix selects objects, and its percent sign and underscore are plain characters") {
  temporary_folder folder;
  auto journal = open_journal(folder / "events.db");
  must(journal->append({event(1, 1, "h", "instance/web-1"), event(2, 2, "h", "instance/web-12"),
                        event(3, 3, "h", "host/host-1"), event(4, 4, "h", "instance/w_b%")},
                       5));
  storage::journal_query query;
  query.object_prefix = "instance/web-1";
  CHECK(sequences(must(journal->read(query))) == numbers{1, 2});
  query.object_prefix = "instance/w_b";
  CHECK(sequences(must(journal->read(query))) == numbers{4});
  query.object_prefix = "instance/%";
  CHECK(must(journal->read(query)).empty());
}

TEST_CASE("a replicated decision written again at a replay is there once, as it was first written") {
  temporary_folder folder;
  auto journal = open_journal(folder / "events.db");
  must(journal->append({event(42'001, 1000, storage::site_origin)}, 1000));
  auto again = event(42'001, 5000, storage::site_origin);
  must(journal->append({again, event(42'002, 5000, storage::site_origin)}, 5000));
  const auto found = must(journal->read({}));
  CHECK(sequences(found) == numbers{42'001, 42'002});
  CHECK(found[0].time_ms == 1000);
  CHECK(journal->counts().stored == 2);
}

TEST_CASE("at the most events none is dropped, with one more the oldest is, and the count of dropped ones survives") {
  temporary_folder folder;
  const auto path = folder / "events.db";
  storage::journal_options options;
  options.max_events = 10;
  {
    auto journal = open_journal(path, options);
    for (std::uint64_t i = 1; i <= 10; ++i)
      must(journal->append({event(i, static_cast<std::int64_t>(i))}, 10));
    CHECK(journal->counts() == storage::journal_counts{10, 0});
    must(journal->append({event(11, 11)}, 11));
    CHECK(journal->counts() == storage::journal_counts{10, 1});
    CHECK(must(journal->read({}))[0].sequence == 2);
  }
  auto journal = open_journal(path, options);
  CHECK(journal->counts() == storage::journal_counts{10, 1});
}

TEST_CASE("an event exactly as old as the limit is kept, one a millisecond older is dropped") {
  temporary_folder folder;
  storage::journal_options options;
  options.max_age = std::chrono::milliseconds{1000};
  auto journal = open_journal(folder / "events.db", options);
  must(journal->append({event(1, 4999), event(2, 5000)}, 5000));
  must(journal->append({}, 6000));
  CHECK(sequences(must(journal->read({}))) == numbers{2});
  CHECK(journal->counts() == storage::journal_counts{1, 1});
}

TEST_CASE("the next sequence counts on from dropped events and after reopening, for each origin by itself") {
  temporary_folder folder;
  const auto path = folder / "events.db";
  storage::journal_options options;
  options.max_age = std::chrono::milliseconds{1000};
  {
    auto journal = open_journal(path, options);
    CHECK(must(journal->next_sequence("host-1")) == 1);
    must(journal->append({event(7, 1000), event(3, 1000, "host-2")}, 1000));
    must(journal->append({}, 9000));
    CHECK(journal->counts().stored == 0);
  }
  auto journal = open_journal(path, options);
  CHECK(must(journal->next_sequence("host-1")) == 8);
  CHECK(must(journal->next_sequence("host-2")) == 4);
  CHECK(must(journal->next_sequence("host-3")) == 1);
}

TEST_CASE("a journal that may keep nothing, and the journal of another host, are refused") {
  temporary_folder folder;
  storage::journal_options options;
  options.max_events = 0;
  check_refused(storage::open_event_journal(folder / "e.db", host, options), storage_errc::invalid_argument,
                "at least");
  options.max_events = 1;
  options.max_age = std::chrono::milliseconds{0};
  check_refused(storage::open_event_journal(folder / "e.db", host, options), storage_errc::invalid_argument,
                "at least");
  open_journal(folder / "e.db").reset();
  check_refused(storage::open_event_journal(folder / "e.db", {"mill", "host-1"}, {}), storage_errc::foreign,
                "site mill");
}

TEST_CASE("a journal whose count of dropped events is no number is refused as damaged") {
  temporary_folder folder;
  const auto path = folder / "events.db";
  storage::journal_options options;
  options.max_age = std::chrono::milliseconds{1000};
  {
    auto journal = open_journal(path, options);
    must(journal->append({event(1, 1000)}, 1000));
    must(journal->append({}, 9000)); // drops it
  }
  CHECK(open_journal(path)->counts().dropped == 1);
  for (const std::string bad : {"", "many", "1x", "99999999999999999999"}) {
    CAPTURE(bad);
    set_meta(path, "dropped", bad);
    check_refused(storage::open_event_journal(path, host, {}), storage_errc::damaged, "not a number");
  }
}
