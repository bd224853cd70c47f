#pragma once

// Commands as the bytes of a log entry, and rows of the state as the values of the site database.

#include <string>
#include <string_view>

#include "actors/site/site_state.hpp"

namespace prunella::actors {

std::string encode(const site_command& command);

/// False for bytes that are no command of this version; `out` is then unspecified.
bool decode(std::string_view bytes, site_command& out);

std::string encode(const site_state& state);
bool decode(std::string_view bytes, site_state& out);

std::string encode(const command_outcome& outcome);
bool decode(std::string_view bytes, command_outcome& out);

/// The stored value of a row of `state`; empty when the row is no longer there.
std::string row_value(const site_state& state, const changed_row& row);

/// Puts a stored row into `state`. False for an unknown kind or damaged value.
bool load_row(site_state& state, const changed_row& row, std::string_view value);

} // namespace prunella::actors
