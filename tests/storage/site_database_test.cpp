#include "storage/site_database.hpp"

#include "tests/storage/damage.hpp"
#include "tests/storage/raft_log_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;
using storage::storage_errc;

namespace {

const storage::host_owner host{"harbour", "host-1"};

std::unique_ptr<storage::site_database> open_site(const std::string& path) {
  return must(storage::open_site_database(path, host));
}

} // namespace

TEST_CASE("applied rows come back ordered by kind and key, with the applied index and term") {
  temporary_folder folder;
  const auto path = folder / "site.db";
  {
    auto site = open_site(path);
    CHECK(site->applied_index() == 0);
    must(site->apply({3, 1, {}, {{"spec", "b", "2"}, {"spec", "a", std::string("\0x", 2)}, {"member", "z", ""}}}));
    must(site->apply({5, 2, {{"spec", "b"}, {"spec", "absent"}}, {{"spec", "a", "new"}}}));
  }
  auto site = open_site(path);
  CHECK(site->applied_index() == 5);
  CHECK(site->applied_term() == 2);
  const storage::site_contents expected{5, 2, {{"member", "z", ""}, {"spec", "a", "new"}}};
  CHECK(must(site->load_all()) == expected);
}

TEST_CASE("a batch deletes before it puts, so a key in both is there afterwards") {
  temporary_folder folder;
  auto site = open_site(folder / "site.db");
  must(site->apply({1, 1, {}, {{"k", "a", "old"}}}));
  must(site->apply({2, 1, {{"k", "a"}}, {{"k", "a", "new"}}}));
  CHECK(must(site->load_all()).rows == std::vector<storage::site_row>{{"k", "a", "new"}});
}

TEST_CASE("an index that was applied before changes nothing, the next one does") {
  temporary_folder folder;
  auto site = open_site(folder / "site.db");
  must(site->apply({7, 1, {}, {{"k", "a", "first"}}}));
  must(site->apply({7, 1, {}, {{"k", "a", "again"}}}));
  must(site->apply({6, 1, {{"k", "a"}}, {}}));
  CHECK(must(site->load_all()).rows[0].value == "first");
  must(site->apply({8, 1, {{"k", "a"}}, {}}));
  CHECK(must(site->load_all()).rows.empty());
}

TEST_CASE("a batch without changes still moves the applied index") {
  temporary_folder folder;
  const auto path = folder / "site.db";
  must(open_site(path)->apply({9, 4, {}, {}}));
  CHECK(open_site(path)->applied_index() == 9);
}

TEST_CASE("a received state replaces everything, also by one with a lower index") {
  temporary_folder folder;
  const auto path = folder / "site.db";
  auto site = open_site(path);
  must(site->apply({100, 5, {}, {{"k", "a", "1"}, {"k", "b", "2"}}}));
  const storage::site_contents received{50, 4, {{"k", "b", "3"}, {"m", "c", std::string(1u << 20, 'c')}}};
  must(site->replace_all(received));
  CHECK(must(site->load_all()) == received);
  site.reset();
  CHECK(must(open_site(path)->load_all()) == received);
}

TEST_CASE("what was applied before a checkpoint is in the file itself, without its write-ahead log") {
  temporary_folder folder;
  auto site = open_site(folder / "site.db");
  must(site->apply({1, 1, {}, {{"k", "a", "durable"}}}));
  must(site->checkpoint());
  must(site->apply({2, 1, {}, {{"k", "a", "tail"}}}));
  // What a power cut leaves at worst: the file, and none of the log behind it.
  std::filesystem::copy_file(folder / "site.db", folder / "cut.db");
  auto cut = open_site(folder / "cut.db");
  CHECK(cut->applied_index() == 1);
  CHECK(must(cut->load_all()).rows[0].value == "durable");
}

TEST_CASE("a changed row is named, with where its content comes from") {
  temporary_folder folder;
  const auto path = folder / "site.db";
  must(open_site(path)->apply({1, 1, {}, {{"spec", "popcorn", "v"}}}));
  run_sql(path, "UPDATE state SET value=x'00'");
  const auto loaded = open_site(path)->load_all();
  check_refused(loaded, storage_errc::damaged, "spec 'popcorn'");
  check_refused(loaded, storage_errc::damaged, "made again from the Raft log");
}

TEST_CASE("the database of another host is refused, a second opener too, and a Raft log is none") {
  temporary_folder folder;
  auto site = open_site(folder / "site.db");
  check_refused(storage::open_site_database(folder / "site.db", host), storage_errc::locked, "in use by process");
  site.reset();
  check_refused(storage::open_site_database(folder / "site.db", {"harbour", "host-2"}), storage_errc::foreign,
                "belongs to host host-1 of site harbour");
  open_log(folder / "raft.db").reset();
  check_refused(storage::open_site_database(folder / "raft.db", host), storage_errc::foreign,
                "is a Raft log, not a site database");
}
