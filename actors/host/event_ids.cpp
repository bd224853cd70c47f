#include <algorithm>
#include <charconv>
#include <string_view>
#include <tuple>

#include "actors/host/journal_actor.hpp"
#include "actors/site/site_views.hpp"

namespace prunella::actors {

namespace {

template <class T>
bool parse_number(const char* first, const char* last, T& out) {
  const auto [end, error] = std::from_chars(first, last, out);
  return first != last && error == std::errc{} && end == last;
}

auto order(const storage::journal_position& x) { return std::tie(x.time_ms, x.origin, x.sequence); }

} // namespace

std::string event_id(const storage::journal_event& event) {
  return std::to_string(event.time_ms) + '-' + event.origin + '-' + std::to_string(event.sequence);
}

bool parse_event_id(const std::string& id, storage::journal_position& out) {
  const auto first = id.find('-');
  const auto last = id.rfind('-');
  if (first == std::string::npos || last <= first + 1)
    return false;
  storage::journal_position position;
  const auto* text = id.data();
  if (!parse_number(text, text + first, position.time_ms)
      || !parse_number(text + last + 1, text + id.size(), position.sequence))
    return false;
  position.origin = id.substr(first + 1, last - first - 1);
  out = position;
  return true;
}

event_view view_of(const storage::journal_event& event) {
  return {event_id(event),  time_text_of(event.time_ms), event.origin, event.object, event.from,
          event.to,         event.reason,                event.cause};
}

std::string shortened(std::string text, std::size_t max_bytes) {
  static constexpr std::string_view dots = "…";
  if (text.size() <= max_bytes)
    return text;
  auto end = max_bytes - dots.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0u) == 0x80u) // within a character
    --end;
  text.resize(end);
  return text.append(dots);
}

std::vector<event_view> merge_events(std::vector<event_view> rows, const std::string& after, std::uint32_t limit) {
  std::vector<std::pair<storage::journal_position, event_view>> placed;
  placed.reserve(rows.size());
  storage::journal_position start;
  const bool has_start = parse_event_id(after, start);
  for (auto& row : rows) {
    storage::journal_position position;
    if (parse_event_id(row.id, position) && (!has_start || order(start) < order(position)))
      placed.emplace_back(std::move(position), std::move(row));
  }
  std::sort(placed.begin(), placed.end(), [](const auto& a, const auto& b) { return order(a.first) < order(b.first); });
  placed.erase(std::unique(placed.begin(), placed.end(), [](const auto& a, const auto& b) { return a.first == b.first; }),
               placed.end());
  const auto extra = placed.size() > limit ? placed.size() - limit : 0;
  if (has_start)
    placed.resize(placed.size() - extra);
  else
    placed.erase(placed.begin(), placed.begin() + static_cast<std::ptrdiff_t>(extra));
  std::vector<event_view> result;
  result.reserve(placed.size());
  for (auto& [position, row] : placed)
    result.push_back(std::move(row));
  return result;
}

} // namespace prunella::actors
