// The site's state on a disk that has no room: it stays right in memory, and the database gets all of it later.

#include <doctest/doctest.h>

#include "actors/site/site_command_bytes.hpp"
#include "actors/site/site_machine.hpp"
#include "tests/actors/site_fixture.hpp"
#include "tests/sim/memory_stores.hpp"

using namespace prunella;
using namespace prunella::test;

namespace {

class filling_database : public tests::memory_site_database {
public:
  filling_database(std::shared_ptr<tests::memory_database_file> file, std::shared_ptr<storage::storage_error> error)
    : memory_site_database(std::move(file)), error_(std::move(error)) {}

  storage::result<void> apply(const storage::site_batch& batch) override {
    return error_->message.empty() ? memory_site_database::apply(batch) : storage::result<void>{*error_};
  }

private:
  std::shared_ptr<storage::storage_error> error_;
};

struct machine_on_disk {
  std::shared_ptr<tests::memory_database_file> file = std::make_shared<tests::memory_database_file>();
  std::shared_ptr<storage::storage_error> error = std::make_shared<storage::storage_error>();
  std::shared_ptr<actors::state_cell> state = std::make_shared<actors::state_cell>();
  std::shared_ptr<runtime::replicated_state_machine> machine;
  std::uint64_t index = 0;

  machine_on_disk() { open(); }

  void open() {
    actors::site_machine_options options;
    options.database = std::make_unique<filling_database>(file, error);
    options.state = state;
    machine = actors::make_site_machine(std::move(options)).value();
  }

  template <class Body>
  storage::result<std::vector<std::string>> run(Body body) {
    storage::log_entry entry;
    entry.index = ++index;
    entry.term = 1;
    entry.kind = storage::entry_kind::command;
    entry.data = actors::encode(actors::site_command{1'000, std::move(body)});
    return machine->apply({runtime::shared_entry{std::move(entry)}});
  }
};

config::site_spec shop() {
  config::site_spec spec;
  spec.name = "shop";
  spec.hosts = {host("host-1")};
  return spec;
}

} // namespace

TEST_CASE("rows that find a full disk are applied in memory and stored with the first batch that finds room") {
  machine_on_disk x;
  REQUIRE(x.run(actors::register_site{shop()}).ok());
  x.error->code = storage::storage_errc::disk_full;
  x.error->message = "the disk is full";
  REQUIRE(x.run(actors::put_application{application("popcorn", {service("web", 1)})}).ok());
  REQUIRE(x.run(actors::scale_service{"default.popcorn", "web", 2}).ok());
  CHECK(x.state->get()->applications.at("default.popcorn").spec.services[0].replicas == 2);
  CHECK(x.state->get()->applied_index == 3);
  CHECK(x.file->now.index == 1);
  CHECK(x.machine->take_snapshot().error().code == storage::storage_errc::disk_full); // the log must keep what it needs

  x.error->message.clear();
  REQUIRE(x.run(actors::put_application{application("soda", {service("web", 1)})}).ok());
  CHECK(x.machine->take_snapshot().ok());
  x.open();
  CHECK(x.machine->applied_index() == 4);
  CHECK(x.state->get()->applications.at("default.popcorn").spec.services[0].replicas == 2);
  CHECK(x.state->get()->applications.count("default.soda") == 1);
}

TEST_CASE("a row deleted while the disk was full is gone when there is room") {
  machine_on_disk x;
  REQUIRE(x.run(actors::register_site{shop()}).ok());
  REQUIRE(x.run(actors::put_application{application("popcorn", {service("web", 1)})}).ok());
  x.error->code = storage::storage_errc::disk_full;
  x.error->message = "the disk is full";
  REQUIRE(x.run(actors::delete_application{"default.popcorn"}).ok());
  x.error->message.clear();
  REQUIRE(x.run(actors::put_application{application("soda", {service("web", 1)})}).ok());
  x.open();
  CHECK(x.state->get()->applications.count("default.popcorn") == 0);
}

TEST_CASE("any other failure of the database ends the machine's use") {
  machine_on_disk x;
  REQUIRE(x.run(actors::register_site{shop()}).ok());
  x.error->code = storage::storage_errc::io_failed;
  x.error->message = "input/output error";
  const auto failed = x.run(actors::put_application{application("popcorn", {service("web", 1)})});
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().message == "input/output error");
}
