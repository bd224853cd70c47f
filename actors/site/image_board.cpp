#include "actors/site/image_board.hpp"

#include <algorithm>
#include <utility>

namespace prunella::actors {

namespace {

/// A report without what changes all the time and decides nothing.
image_report settled_part(image_report x) {
  x.revision = 0;
  x.free_bytes >>= 30;
  for (auto& transfer : x.transfers) {
    transfer.bytes_done = transfer.bytes_total = 0;
    transfer.reason.clear();
  }
  for (auto& image : x.images)
    image.holders.clear();
  return x;
}

} // namespace

bool image_board::take(image_report report) {
  auto& known = reports_[report.host];
  if (known.incarnation == report.incarnation && known.revision >= report.revision)
    return false;
  const bool changed = settled_part(known) != settled_part(report);
  if (known.incarnation != report.incarnation)
    told_.erase(report.host); // another process, which knows of no orders
  known = std::move(report);
  ++revision_;
  return changed;
}

bool image_board::knows_all(const site_state& state) {
  knows_all_ = knows_all_ || std::all_of(state.hosts.begin(), state.hosts.end(), [&](const auto& x) {
                 return !x.second.up || reports_.count(x.first) != 0;
               });
  return knows_all_;
}

std::vector<std::pair<std::string, image_orders>> image_board::orders(const site_state& state, bool all) {
  std::vector<std::pair<std::string, image_orders>> result;
  auto plan = plan_copies(state, reports_, options_, told_, knows_all(state));
  const bool concerns = !needed_images(state).empty()
                        || std::any_of(reports_.begin(), reports_.end(),
                                       [](const auto& x) { return !x.second.images.empty() || !x.second.transfers.empty(); });
  for (const auto& [host, record] : state.hosts) {
    if (!record.up) {
      told_.erase(host);
      continue;
    }
    image_orders x;
    x.orders = std::move(plan.orders[host]);
    x.keep = std::move(plan.keep[host]);
    const auto known = told_.find(host);
    const bool is_new = known == told_.end() ? concerns : known->second != x;
    if (!is_new && !(all && concerns))
      continue;
    told_[host] = x;
    result.emplace_back(host, std::move(x));
  }
  return result;
}

} // namespace prunella::actors
