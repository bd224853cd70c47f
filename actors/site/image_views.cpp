#include "actors/site/image_views.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "actors/site/view_pages.hpp"

namespace prunella::actors {

namespace {

std::string key_of(const image_view& x) {
  return x.name + ' ' + x.digest;
}

class collector {
public:
  collector(const site_state& state, const image_reports& reports) : state_(state), reports_(reports) {}

  std::vector<image_view> run() {
    for (const auto& [host, report] : reports_)
      if (is_up(host))
        add_report(host, report);
    add_transfers();
    for (const auto& image : needed_images(state_))
      add_needed(image);
    add_meanings();
    std::vector<image_view> list;
    for (auto& [key, row] : rows_) {
      std::sort(row.hosts.begin(), row.hosts.end(), [](const auto& a, const auto& b) { return a.host < b.host; });
      list.push_back(std::move(row));
    }
    std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return key_of(a) < key_of(b); });
    return list;
  }

private:
  bool is_up(const std::string& host) const {
    const auto it = state_.hosts.find(host);
    return it == state_.hosts.end() || it->second.up; // who answers alone may know of no host yet
  }

  /// Images by digest; what is only on its way, by name.
  void add_report(const std::string& host, const image_report& report) {
    for (const auto& held : report.images) {
      auto& row = rows_[held.manifest];
      row.digest = held.manifest;
      row.names.insert(row.names.end(), held.names.begin(), held.names.end());
      std::sort(row.names.begin(), row.names.end());
      row.names.erase(std::unique(row.names.begin(), row.names.end()), row.names.end());
      row.name = row.names.empty() ? held.manifest : row.names.front();
      row.platform = held.platform;
      row.bytes = held.bytes;
      row.needed = "no";
      ++row.copies;
      row.hosts.push_back({host, "present", held.source, held.bytes, held.bytes, 0, {}, held.holders, held.unpacked});
    }
  }

  void add_needed(const needed_image& image) {
    if (image.look_since != 0 && !image.is_current)
      return; // a name that is only looked at
    std::vector<image_view*> of_name;
    for (auto& [key, row] : rows_)
      if (names(row, image.reference))
        of_name.push_back(&row);
    if (of_name.empty()) {
      auto& row = rows_[image.reference];
      row.name = image.reference;
      row.names = {image.reference};
      of_name.push_back(&row);
    }
    for (auto* row : of_name)
      row->needed = image.is_current || row->needed == "yes" ? "yes" : "rollback";
    for (const auto& host : image.hosts)
      if (std::none_of(of_name.begin(), of_name.end(), [&](const auto* row) { return has(*row, host); }) && is_up(host))
        of_name.front()->hosts.push_back({host, "missing", {}, 0, 0, 0, {}, {}, false});
  }

  void add_meanings() {
    for (const auto& [key, record] : state_.applications)
      for (const auto& [service, digests] : record.images)
        for (const auto& [tag, digest] : digests)
          for (auto& [unused, row] : rows_)
            if (names(row, with_digest(tag, digest))) {
              row.meant_by.push_back({key + '.' + service, tag});
              if (row.name.find('@') != std::string::npos)
                row.name = tag; // it moved to another image since, and people know this one by it
            }
  }

  static bool has(const image_view& row, const std::string& host) {
    return std::any_of(row.hosts.begin(), row.hosts.end(), [&](const auto& x) { return x.host == host; });
  }

  bool names(const image_view& row, const std::string& reference) const {
    if (row.digest.empty())
      return row.name == reference;
    image_report only;
    only.images.push_back({row.digest, row.names, {}, {}, {}, 0, false, 0});
    return find_image_in(only, reference) != nullptr;
  }

  /// Behind what is there: transfers go to the row of their name.
  void add_transfers() {
    for (const auto& [host, report] : reports_) {
      if (!is_up(host))
        continue;
      for (const auto& x : report.transfers) {
        image_view* row = nullptr;
        for (auto& [key, candidate] : rows_)
          if (names(candidate, x.reference))
            row = &candidate;
        if (row == nullptr) {
          row = &rows_[x.reference];
          row->name = x.reference;
          row->names = {x.reference};
          row->needed = "no";
        }
        if (!has(*row, host))
          row->hosts.push_back({host, to_text(x.state), x.from, x.bytes_done, x.bytes_total, x.attempts, x.reason, {}, false});
      }
    }
  }

  const site_state& state_;
  const image_reports& reports_;
  std::map<std::string, image_view> rows_; ///< by digest, or by name without one
};

} // namespace

std::vector<image_view> image_views(const site_state& state, const image_reports& reports) {
  return collector{state, reports}.run();
}

view_answer image_page(const view_request& request, const site_state& state, const image_reports& reports) {
  const std::size_t limit = std::clamp<std::uint32_t>(request.limit, 1, max_page_rows);
  auto rows = image_views(state, reports);
  rows.erase(rows.begin(), std::find_if(rows.begin(), rows.end(), [&](const auto& x) { return key_of(x) > request.after; }));
  return page_of(rows, limit, key_of);
}

} // namespace prunella::actors
