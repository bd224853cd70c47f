#include "actors/host/image_shelf.hpp"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>

namespace prunella::actors {

using storage::storage_errc;
using storage::storage_error;

namespace {

constexpr std::size_t names_told = 64;
constexpr std::size_t holders_told = 16;

storage_error not_here(const storage::image_reference& reference) {
  return {storage_errc::not_found, "the image " + reference.text() + " is not on this host"};
}

held_image row_of(const storage::image_view& x) {
  held_image row;
  row.manifest = x.manifest.text();
  row.names.assign(x.names.begin(), x.names.begin() + static_cast<std::ptrdiff_t>(std::min(x.names.size(), names_told)));
  row.holders.assign(x.holders.begin(),
                     x.holders.begin() + static_cast<std::ptrdiff_t>(std::min(x.holders.size(), holders_told)));
  row.platform = x.platform.text();
  row.source = x.source;
  row.bytes = x.bytes;
  row.unpacked = x.unpacked;
  row.added_at = x.added_at_ms;
  return row;
}

std::size_t bytes_of(const held_image& x) {
  std::size_t bytes = 200 + x.source.size();
  for (const auto& name : x.names)
    bytes += name.size() + 8;
  for (const auto& holder : x.holders)
    bytes += holder.size() + 8;
  return bytes;
}

} // namespace

storage::result<std::shared_ptr<storage::image_store>> image_shelf::open() {
  return images_->get();
}

/// A store whose disk failed answers nothing any more until it is opened anew.
template <class T>
storage::result<T> image_shelf::noted(storage::result<T> outcome) {
  if (!outcome && (outcome.error().code == storage_errc::io_failed || outcome.error().code == storage_errc::damaged))
    images_->reset();
  return outcome;
}

storage::result<provided_image> image_shelf::provide(const storage::image_reference& reference, const std::string& holder) {
  if (!images_->was_used())
    return not_here(reference);
  auto store = open();
  if (!store)
    return store.error();
  auto record = noted((*store)->find(reference));
  if (!record)
    return record.error();
  auto layers = (*store)->layers().stack(record->diff_ids);
  if (!layers)
    return layers.error();
  auto documents = (*store)->documents(record->manifest);
  // A document that the disk has changed was thrown away: it is fetched again like one that was never there.
  if (!documents && documents.error().code == storage_errc::damaged)
    return not_here(reference);
  if (!documents)
    return documents.error();
  if (auto held = noted((*store)->hold(holder, record->manifest, clock_())); !held)
    return held.error();
  is_fresh_ = false;
  const auto& blobs = (*store)->blobs();
  provided_image image{record->manifest.text(), std::move(documents->config), std::move(*layers)};
  image.config_file = blobs.path(documents->manifest.config.digest);
  for (const auto& layer : documents->manifest.layers)
    image.layer_files.push_back(blobs.path(layer.digest));
  return image;
}

storage::result<std::size_t> image_shelf::release_except(const std::set<std::string>& holders) {
  auto store = open();
  if (!store)
    return store.error();
  if (const auto looked = look(**store); !looked)
    return looked.error();
  std::vector<std::string> gone;
  for (const auto& row : rows_)
    std::copy_if(row.holders.begin(), row.holders.end(), std::back_inserter(gone),
                 [&](const auto& holder) { return holders.count(holder) == 0; });
  for (const auto& holder : gone) {
    is_fresh_ = false;
    if (const auto released = noted((*store)->release(holder, clock_())); !released)
      return released.error();
  }
  return gone.size();
}

/// Brings `rows_` up to date, those used last first.
storage::result<void> image_shelf::look(storage::image_store& store) {
  if (is_fresh_)
    return {};
  auto rows = noted(store.list());
  if (!rows) {
    rows_.clear();
    return rows.error();
  }
  rows_ = std::move(*rows);
  std::stable_sort(rows_.begin(), rows_.end(), [](const auto& a, const auto& b) { return a.last_used_at_ms > b.last_used_at_ms; });
  is_fresh_ = true;
  return {};
}

bool image_shelf::is_ready(const storage::image_reference& reference, bool unpacked) {
  if (!images_->was_used())
    return false;
  auto store = open();
  if (!store)
    return false;
  auto record = noted((*store)->find(reference));
  if (!record || (unpacked && !(*store)->layers().stack(record->diff_ids)))
    return false;
  auto missing = (*store)->missing(record->manifest);
  return missing && missing->empty();
}

image_found image_shelf::find(const storage::image_reference& reference, const std::string& platform) {
  image_found answer;
  if (!is_ready(reference, false))
    return answer;
  auto store = open();
  auto record = store ? noted((*store)->find(reference)) : store.error();
  if (!record || !storage::runs_on(record->platform, storage::platform_of(platform)))
    return answer;
  answer.manifest = record->manifest.text();
  answer.added_at = record->added_at_ms;
  return answer;
}

storage::result<blob_part> image_shelf::read(const read_blob& x) {
  auto name = storage::parse_digest(x.digest);
  if (!name)
    return name.error();
  if (!images_->was_used())
    return storage_error{storage_errc::not_found, "this host has no images"};
  auto store = open();
  if (!store)
    return store.error();
  auto size = (*store)->blobs().size(*name);
  if (!size)
    return size.error();
  auto bytes = (*store)->blobs().read(*name, x.offset, std::min(x.max_bytes, max_part_bytes));
  if (!bytes)
    return bytes.error();
  return blob_part{x.offset, *size, std::move(*bytes)};
}

std::vector<std::string> image_shelf::check(storage::blob_check& check) {
  auto store = open();
  if (!store) {
    check = {};
    return {};
  }
  const auto damaged = check.step((*store)->blobs());
  if (!damaged)
    return {};
  const auto before = noted((*store)->list());
  if (!before || !(*store)->blobs().remove(*damaged))
    return {};
  is_fresh_ = false;
  std::vector<std::string> images;
  for (const auto& row : *before)
    if (auto missing = (*store)->missing(row.manifest); row.complete && missing && !missing->empty())
      images.push_back(row.names.empty() ? row.manifest.text() : row.names.front());
  return images;
}

storage::result<void> image_shelf::check_import(const std::string& path) {
  std::error_code error;
  if (path.empty() || path.front() != '/')
    return storage_error{storage_errc::malformed, "`" + path + "` is not an absolute path on this host; begin it with `/`"};
  if (!std::filesystem::exists(path, error))
    return storage_error{storage_errc::not_found,
                         "there is no file or folder " + path + " on this host that the agent may read; check the path"};
  return {};
}

void image_shelf::fill(image_report& report, std::size_t max_bytes) {
  if (!images_->was_used())
    return;
  auto store = open();
  if (!store)
    return;
  static_cast<void>(look(**store)); // without it there is nothing to tell, and the next one looks again
  if (const auto room = (*store)->room())
    report.free_bytes = room->free_bytes;
  std::size_t bytes = 0;
  for (const auto& x : rows_) {
    if (!x.complete)
      continue;
    auto row = row_of(x);
    bytes += bytes_of(row);
    if (bytes > max_bytes)
      break;
    report.images.push_back(std::move(row));
  }
}

storage::result<storage::disk_room> image_shelf::room() {
  auto store = open();
  if (!store)
    return store.error();
  return (*store)->room();
}

storage::result<std::vector<std::pair<std::string, std::string>>>
image_shelf::collect(std::uint64_t bytes, const std::vector<std::string>& wanted) {
  auto store = open();
  if (!store)
    return store.error();
  std::set<storage::digest> manifests;
  for (const auto& name : wanted)
    if (const auto reference = storage::parse_reference(name))
      if (const auto record = (*store)->find(*reference))
        manifests.insert(record->manifest);
  auto before = noted((*store)->list());
  if (!before)
    return before.error();
  auto gone = noted((*store)->collect(bytes, manifests, clock_()));
  is_fresh_ = false;
  if (!gone)
    return gone.error();
  std::map<storage::digest, std::string> names;
  for (const auto& x : *before)
    names[x.manifest] = x.names.empty() ? x.manifest.text() : x.names.front();
  std::vector<std::pair<std::string, std::string>> removed;
  for (const auto& manifest : gone->images)
    removed.emplace_back(names[manifest], "the disk is tight and nobody needs it; its " + manifest.text().substr(0, 19)
                                            + " can be fetched again");
  return removed;
}

} // namespace prunella::actors
