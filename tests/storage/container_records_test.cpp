#include "storage/container_records.hpp"

#include <csignal>
#include <sys/wait.h>

#include "tests/storage/damage.hpp"
#include "tests/storage/raft_log_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;
using storage::storage_errc;

namespace {

const storage::host_owner host{"harbour", "host-1"};

std::unique_ptr<storage::container_records> open_records(const std::string& path) {
  return must(storage::open_container_records(path, host));
}

storage::container_record record(const std::string& name, std::int64_t pid) {
  return {name, 4, pid, 123456, "boot-1", "sha", 1'700'000'000'000, "/var/log/" + name};
}

} // namespace

TEST_CASE("records come back whole and ordered by name, putting replaces, erasing an absent one is no error") {
  temporary_folder folder;
  const auto path = folder / "containers.db";
  {
    auto records = open_records(path);
    must(records->put(record("t.b.web-1.main", 10)));
    must(records->put(record("t.a.web-1.main", 11)));
    must(records->put(record("t.b.web-1.main", 12)));
    must(records->put(record("t.c.web-1.main", 13)));
    must(records->erase("t.c.web-1.main"));
    must(records->erase("t.c.web-1.main"));
  }
  const std::vector<storage::container_record> expected{record("t.a.web-1.main", 11), record("t.b.web-1.main", 12)};
  CHECK(must(open_records(path)->list()) == expected);
}

TEST_CASE("a record put right before a SIGKILL of the agent is there for the next one") {
  temporary_folder folder;
  const auto path = folder / "containers.db";
  const auto pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    auto records = storage::open_container_records(path, host);
    if (records && (*records)->put(record("t.a.web-1.main", 77)))
      ::kill(::getpid(), SIGKILL);
    ::_exit(1);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFSIGNALED(status));
  const auto found = must(open_records(path)->list());
  REQUIRE(found.size() == 1);
  CHECK(found[0] == record("t.a.web-1.main", 77));
}

TEST_CASE("a record without a name, a changed record and the table of another host are refused") {
  temporary_folder folder;
  const auto path = folder / "containers.db";
  check_refused(open_records(path)->put({}), storage_errc::invalid_argument, "needs its name");
  must(open_records(path)->put(record("t.a.web-1.main", 1)));
  check_refused(storage::open_container_records(path, {"harbour", "host-9"}), storage_errc::foreign, "host-1");
  run_sql(path, "UPDATE container SET record=substr(record, 1, 20)");
  check_refused(open_records(path)->list(), storage_errc::damaged, "record of 't.a.web-1.main'");
}
