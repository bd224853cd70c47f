#include <doctest/doctest.h>

#include "actors/site/status_cell.hpp"

using namespace prunella;
using std::chrono::milliseconds;

TEST_CASE("a kept status is told for its own state while it is confirmed, and not after its keeper ended") {
  actors::status_cell cell;
  const runtime::instant start{};
  const auto state = std::make_shared<const actors::site_state>();
  const auto next_state = std::make_shared<const actors::site_state>();
  const auto status = std::make_shared<const actors::status_view>();
  CHECK((cell.get(state, start) == nullptr));
  cell.set(status, state, start + milliseconds{100});
  CHECK((cell.get(state, start + milliseconds{100}) == status));
  CHECK((cell.get(state, start + milliseconds{101}) == nullptr)); // not confirmed since
  CHECK((cell.get(next_state, start) == nullptr));                // a change it does not know of
  const auto successor = std::make_shared<const actors::status_view>();
  cell.set(successor, next_state, start + milliseconds{200});
  cell.clear(status); // the first keeper ends late
  CHECK((cell.get(next_state, start) == successor));
  cell.clear(successor);
  CHECK((cell.get(next_state, start) == nullptr));
}
