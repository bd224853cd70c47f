#include "actors/site/site_command_bytes.hpp"

#include <cereal/types/variant.hpp>

#include "config/enumerators.hpp"
#include "storage/cereal_bytes.hpp"

namespace prunella::actors {

namespace {

/// These bytes come from other hosts too, whose versions may know more than this one.
template <class Value>
bool read(std::string_view bytes, Value& out) {
  return storage::from_bytes(bytes, out) && config::has_known_enumerators(out);
}

} // namespace

std::string encode(const site_command& command) { return storage::to_bytes(command); }
bool decode(std::string_view bytes, site_command& out) { return read(bytes, out); }

std::string encode(const site_state& state) { return storage::to_bytes(state); }
bool decode(std::string_view bytes, site_state& out) { return read(bytes, out); }

std::string encode(const command_outcome& outcome) { return storage::to_bytes(outcome); }
bool decode(std::string_view bytes, command_outcome& out) { return read(bytes, out); }

namespace {

template <class Record>
std::string map_value(const std::map<std::string, Record>& records, const std::string& key) {
  const auto it = records.find(key);
  return it == records.end() ? std::string{} : storage::to_bytes(it->second);
}

} // namespace

std::string row_value(const site_state& state, const changed_row& row) {
  if (row.kind == "site")
    return storage::to_bytes(state.site);
  if (row.kind == "host")
    return map_value(state.hosts, row.key);
  if (row.kind == "application")
    return map_value(state.applications, row.key);
  if (row.kind == "assignment")
    return map_value(state.assignments, row.key);
  return {};
}

bool load_row(site_state& state, const changed_row& row, std::string_view value) {
  if (row.kind == "site")
    return read(value, state.site);
  if (row.kind == "host")
    return read(value, state.hosts[row.key]);
  if (row.kind == "application")
    return read(value, state.applications[row.key]);
  if (row.kind == "assignment")
    return read(value, state.assignments[row.key]);
  return false;
}

} // namespace prunella::actors
