#pragma once

// Rows as a page of the API.

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "actors/messages.hpp"
#include "config/json.hpp"

namespace prunella::actors {

/// Rows as one JSON array: as many as were asked for and fit, the first always.
template <class Row, class KeyOf>
view_answer page_of(const std::vector<Row>& rows, std::size_t limit, KeyOf key_of) {
  constexpr std::size_t max_bytes = 512 * 1024;
  view_answer page;
  page.json = "[";
  std::size_t count = 0;
  for (; count < std::min(rows.size(), limit); ++count) {
    const auto text = config::json_text(config::to_json(rows[count]));
    if (count > 0 && page.json.size() + text.size() > max_bytes)
      break;
    page.json += (count == 0 ? "" : ",") + text;
  }
  page.json += ']';
  if (count < rows.size())
    page.next = key_of(rows[count - 1]);
  return page;
}

} // namespace prunella::actors
