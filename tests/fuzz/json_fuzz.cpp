// JSON from other programs: bodies of requests, and what the command line reads from whatever answers at an endpoint.

#include <algorithm>
#include <string>

#include "actors/api/views.hpp"
#include "config/json.hpp"
#include "config/yaml/writer.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tools/cli/views.hpp"

using namespace prunella;
using fuzz::require;

namespace {

const tools::time_point now{std::chrono::hours{24 * 365 * 50}};

/// What of it reaches a terminal holds no control character.
void check_printable(const std::string& text) {
  for (const char c : text)
    require(c == '\n' || static_cast<unsigned char>(c) >= 0x20, "nothing that was named elsewhere moves the cursor");
}

template <class Row>
std::vector<Row> rows_of(const boost::json::value& value) {
  std::vector<Row> rows;
  (void)config::from_json(value, rows);
  const auto json = config::to_json(rows);
  std::vector<Row> again;
  require(config::from_json(json, again).empty() && again == rows, "rows that are written and read are the same");
  return rows;
}

template <class Row>
void show_table(const boost::json::value& value) {
  check_printable(tools::render(tools::to_table(rows_of<Row>(value), now), false));
}

void show(const boost::json::value& value) {
  show_table<actors::host_view>(value);
  show_table<actors::application_view>(value);
  show_table<actors::instance_view>(value);
  show_table<actors::event_view>(value);
  actors::status_view status;
  (void)config::from_json(value, status);
  check_printable(tools::status_text(status, now, false));
  check_printable(tools::render(tools::actor_tree(rows_of<actors::actor_view>(value)), false));
  check_printable(tools::render(tools::site_tree(status, rows_of<actors::host_view>(value),
                                                 rows_of<actors::application_view>(value),
                                                 rows_of<actors::instance_view>(value)),
                                false));
}

/// Boost.JSON 1.81 reads a floating point number off by one in its last place at times; we keep none.
bool has_fraction(const boost::json::value& value) {
  if (const auto* array = value.if_array())
    return std::any_of(array->begin(), array->end(), has_fraction);
  if (const auto* object = value.if_object())
    return std::any_of(object->begin(), object->end(), [](const auto& member) { return has_fraction(member.value()); });
  return value.is_double();
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto parsed = config::parse_json(fuzz::text_of(data, size));
  if (!parsed.error.empty())
    return 0;
  for (const auto& text : {config::json_text(parsed.value), config::pretty_json(parsed.value)}) {
    const auto again = config::parse_json(text);
    require(again.error.empty(), "JSON that is written can be read");
    require(again.value == parsed.value || has_fraction(parsed.value), "JSON that is written and read is the same");
  }
  (void)config::to_yaml(parsed.value);
  show(parsed.value);
  return 0;
}
