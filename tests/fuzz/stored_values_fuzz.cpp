// Bytes that this host stored, or that came in a log entry or snapshot from another one: commands, states, rows, heads,
// marks, identities. What is read is written the same; commands and states are put to use.
//   first byte: as what; the rest: its bytes

#include <string>

#include "actors/site/plan.hpp"
#include "actors/site/requests.hpp"
#include "actors/site/site_command_bytes.hpp"
#include "actors/site/site_views.hpp"
#include "config/json.hpp"
#include "runtime/consensus/membership.hpp"
#include "storage/cereal_bytes.hpp"
#include "storage/commit_mark.hpp"
#include "storage/container_records.hpp"
#include "storage/data_dir.hpp"
#include "storage/raft_log_rows.hpp"
#include "tests/actors/site_fixture.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace prunella;
using fuzz::require;

namespace {

template <class Value>
void check_value(std::string_view bytes) {
  Value value;
  if (!storage::from_bytes(bytes, value))
    return;
  Value again;
  require(storage::from_bytes(storage::to_bytes(value), again) && again == value,
          "a value that is written and read is the same");
}

/// Everything that answers and decides from a state.
void use(const actors::site_state& state) {
  std::string unread;
  for (const auto& portion : actors::in_portions(actors::plan(state, {}, 1'000'000).changes))
    require(portion.changes.size() <= actors::max_portion_changes, "a portion of a plan is bounded");
  const actors::observations seen;
  const actors::view_source from{state, seen, "a", {}};
  unread += config::json_text(config::to_json(actors::host_views(from)));
  unread += config::json_text(config::to_json(actors::instance_views(from)));
  unread += config::json_text(config::to_json(actors::application_views(from)));
  for (const auto& [key, record] : state.applications)
    unread += config::json_text(config::to_json(record.spec));
  actors::status_view status;
  actors::fill_status(status, from);
  require(!unread.empty(), "views are texts");
}

bool is_small(const config::application_spec& spec) {
  std::size_t replicas = 0;
  for (const auto& service : spec.services)
    replicas += service.replicas;
  return replicas <= 100; // large ones only take longer
}

void check_command(std::string_view bytes) {
  actors::site_command command;
  if (!actors::decode(bytes, command))
    return;
  actors::site_command again;
  require(actors::decode(actors::encode(command), again) && again == command, "a command reads back");
  test::small_site site({test::host("a"), test::host("b")});
  site.run(actors::put_application{test::application("a", {test::service("s", 2)})});
  (void)actors::refuse(command, site.state);
  // A leader of this version refuses what is wrong; that of another version may not, and its log is applied all the same.
  (void)actors::apply(site.state, command, ++site.index);
  for (const auto& [key, record] : site.state.applications)
    if (!is_small(record.spec))
      return;
  use(site.state);
}

void check_state(std::string_view bytes) {
  actors::site_state state;
  if (!actors::decode(bytes, state))
    return;
  actors::site_state again;
  require(actors::decode(actors::encode(state), again) && again == state, "a state reads back");
  for (const auto& [key, record] : state.applications)
    if (!is_small(record.spec))
      return;
  use(state);
}

void check_row(std::string_view bytes) {
  for (const auto* kind : {"site", "host", "application", "assignment"}) {
    actors::site_state state;
    if (actors::load_row(state, {kind, "key"}, bytes))
      require(!actors::row_value(state, {kind, "key"}).empty(), "a row that was read can be written");
  }
}

void check_small_things(std::string_view bytes) {
  if (const auto mark = storage::decode_mark(bytes))
    require(storage::encode_mark(*mark) == bytes, "a mark is written as it was read");
  (void)storage::check_identity_text(std::string(bytes), {"shop", "host-1"}, "/data");
  if (const auto members = runtime::decode_membership(std::string(bytes)))
    require(runtime::decode_membership(runtime::encode_membership(*members)) == members, "a membership reads back");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto bytes = fuzz::text_of(data, size);
  switch (fuzz::take_byte(bytes) % 8) {
  case 0: check_command(bytes); break;
  case 1: check_state(bytes); break;
  case 2: check_row(bytes); break;
  case 3: check_value<storage::raft_log_head>(bytes); break;
  case 4: check_value<storage::container_record>(bytes); break;
  case 5: check_value<storage::raft_snapshot>(bytes); break;
  case 6: check_value<actors::command_outcome>(bytes); break;
  default: check_small_things(bytes); break;
  }
  return 0;
}
