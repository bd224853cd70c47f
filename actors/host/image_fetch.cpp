#include "actors/host/image_fetch.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "storage/images/import.hpp"

namespace prunella::actors {

using storage::storage_errc;
using storage::storage_error;

namespace {

constexpr std::chrono::milliseconds lock_poll{200};

/// One fetch on its way.
class fetch {
public:
  fetch(const fetch_order& order, const fetch_tools& tools) : order_(order), tools_(tools) {}

  fetch_outcome run() {
    auto reference = storage::parse_reference(order_.reference);
    if (!reference)
      return failed({image_errc::reference_malformed, reference.error().message});
    reference_ = std::move(*reference);
    auto record = bring();
    if (is_ended_)
      return failed({image_errc::ended, "fetching the image " + order_.reference + " was ended; what has arrived is kept"});
    if (!record)
      return failed(to_image_failure(record.error()));
    if (const auto unpacked = unpack(*record); unpacked)
      return failed(*unpacked);
    outcome_.image.manifest = record->manifest.text();
    outcome_.image.look_since = order_.look_since;
    outcome_.image.from = progress_.from;
    for (const auto& blob : record->blobs)
      outcome_.image.bytes += blob.size;
    return std::move(outcome_);
  }

private:
  using record_or_error = storage::result<storage::image_record>;

  fetch_outcome failed(image_failure why) {
    outcome_.failed = true;
    outcome_.failure = std::move(why);
    return std::move(outcome_);
  }

  /// Tells how far it is; false: it is to end.
  bool tell() {
    is_ended_ = is_ended_ || !tools_.progress(progress_);
    return !is_ended_;
  }

  void begin(const std::string& from, bool from_registry) {
    progress_ = {transfer_state::fetching, from, from_registry, 0, 0};
    tell();
  }

  storage::import_options options(const std::string& source) {
    storage::import_options x;
    x.now_ms = tools_.clock();
    x.source = source;
    x.progress = [this](const storage::import_progress& now) {
      progress_.bytes_done = std::max(progress_.bytes_done, now.bytes_done);
      progress_.bytes_total = now.bytes_total;
      return tell();
    };
    return x;
  }

  record_or_error bring() {
    if (!order_.file.empty())
      return import_file();
    auto here = whole_image();
    if (order_.look_since != 0) {
      if (auto meaning = look(here); !meaning)
        return meaning.error();
      here = whole_image();
    }
    if (here) {
      outcome_.image.was_there = true;
      return here;
    }
    record_or_error last = storage_error{
      storage_errc::not_found, "no host of the site has the image " + order_.reference
                                 + ", and this one may not ask the registry; import it with `prunella image import FILE`"};
    for (const auto& peer : order_.peers) {
      last = from_peer(peer);
      // Another host has no more room for it here, and no other opinion of what a name means.
      if (last || is_ended_ || last.error().code == storage_errc::disk_full)
        return last;
      outcome_.peers_failed.push_back(peer + ": " + last.error().message);
      if (last.error().code == storage_errc::unverified) {
        outcome_.peers_doubted.push_back(peer);
        last = storage_error{storage_errc::unverified, outcome_.peers_failed.back()};
      }
    }
    if (!order_.may_ask_registry)
      return last;
    begin("registry " + reference_.registry, true);
    return storage::pull(*tools_.store, reference_, tools_.access, options(progress_.from));
  }

  /// From here on the reference is what its tag means now. Without an answer of the registry that is what is here, also
  /// for what somebody brought as a file: no registry knows better.
  storage::result<void> look(const record_or_error& here) {
    auto access = tools_.access;
    if (here && came_as_file(*here))
      return means(here->manifest);
    if (here)
      access.document_timeout = std::min(access.document_timeout, tools_.look_timeout);
    auto now = storage::look_up(*tools_.store, reference_, access);
    if (now)
      return means(*now);
    if (!here)
      return now.error();
    outcome_.peers_failed.push_back(now.error().message + "; " + order_.reference + " stays what it is here, "
                                    + here->manifest.text().substr(0, 19));
    return means(here->manifest);
  }

  storage::result<void> means(const storage::digest& meaning) {
    reference_.pinned = meaning;
    outcome_.image.meaning = meaning.text();
    return {};
  }

  static bool came_as_file(const storage::image_record& record) {
    return record.source.compare(0, 8, "archive ") == 0 || record.source.compare(0, 7, "folder ") == 0 || record.source.empty();
  }

  /// What the reference means here, if all of it is on the disk.
  record_or_error whole_image() {
    auto found = tools_.store->find(reference_);
    if (!found)
      return found;
    auto missing = tools_.store->missing(found->manifest);
    if (!missing)
      return missing.error();
    if (!missing->empty())
      return storage_error{storage_errc::not_found, "blobs of the image are missing"};
    return found;
  }

  record_or_error import_file() {
    std::error_code error;
    const bool is_folder = std::filesystem::is_directory(order_.file, error);
    begin((is_folder ? "folder " : "archive ") + order_.file, false);
    // A layout or archive with one image has it whatever it is called there; the name is the site's.
    return is_folder ? storage::import_layout(*tools_.store, order_.file, {}, reference_, options(progress_.from))
                     : storage::import_archive(*tools_.store, order_.file, {}, reference_, tools_.access,
                                               options(progress_.from));
  }

  record_or_error from_peer(const std::string& host) {
    auto manifest = storage::parse_digest(order_.manifest);
    if (!manifest)
      return manifest.error();
    const auto peer = tools_.peer(host);
    if (peer == nullptr)
      return storage_error{storage_errc::unreachable, host + " cannot be asked now"};
    begin(host, false);
    auto text = manifest_from(*peer, *manifest);
    if (!text)
      return text.error();
    std::uint64_t done = 0;
    const auto copy = [&](storage::blob_store& store, const storage::descriptor& blob) {
      copy_tools tools;
      tools.now = tools_.now;
      tools.pace = tools_.pace;
      tools.progress = [&](std::uint64_t bytes) {
        done += bytes;
        progress_.bytes_done = std::max(progress_.bytes_done, done);
        return tell();
      };
      return copy_when_free(store, blob, *peer, tools);
    };
    return storage::store_image(*tools_.store, *text, copy, {reference_}, options(host));
  }

  /// Two images that share a layer may be on their way at once: one fetch brings it, the other waits for that.
  storage::result<void> copy_when_free(storage::blob_store& store, const storage::descriptor& blob, blob_peer& peer,
                                       const copy_tools& tools) {
    auto copied = copy_blob(store, blob, peer, tools);
    while (!copied && copied.error().code == storage_errc::locked && tell()) {
      tools_.pause(lock_poll);
      copied = copy_blob(store, blob, peer, tools);
    }
    return copied;
  }

  storage::result<std::string> manifest_from(blob_peer& peer, const storage::digest& manifest) {
    auto& blobs = tools_.store->blobs();
    if (!blobs.contains(manifest)) {
      auto size = size_at(peer, manifest);
      if (!size)
        return size.error();
      if (*size > storage::max_document_bytes)
        return storage_error{storage_errc::refused, "it offers a manifest of " + std::to_string(*size) + " bytes"};
      copy_tools tools;
      tools.now = tools_.now;
      tools.pace = tools_.pace;
      if (auto copied = copy_blob(blobs, {{}, manifest, *size}, peer, tools); !copied)
        return copied.error();
    }
    return blobs.read_document(manifest);
  }

  /// Whether nobody can ever run an image that fails to unpack like that.
  static bool is_useless(storage_errc code) {
    return code == storage_errc::refused || code == storage_errc::malformed || code == storage_errc::unverified
           || code == storage_errc::unsupported;
  }

  /// Nothing, or why not.
  std::optional<image_failure> unpack(const storage::image_record& record) {
    if (!order_.unpack)
      return std::nullopt;
    progress_.state = transfer_state::unpacking;
    tell();
    if (::geteuid() != 0)
      return image_failure{image_errc::needs_root,
                           "the image " + order_.reference + " is here, but only root may unpack it: run the agent as root"};
    auto documents = tools_.store->documents(record.manifest);
    if (!documents)
      return to_image_failure(documents.error());
    std::lock_guard<std::mutex> guard{*tools_.unpacking};
    const auto left = tools_.store->left();
    if (!left)
      return to_image_failure(left.error());
    storage::unpack_limits limits;
    limits.room = *left;
    auto done = tools_.store->layers().unpack(documents->manifest, documents->config, tools_.store->blobs(),
                                              tools_.store->staging(), limits);
    if (done)
      return std::nullopt;
    if (is_useless(done.error().code))
      static_cast<void>(tools_.store->forget(record.manifest)); // who holds it has it unpacked
    auto failure = to_image_failure(done.error());
    if (done.error().code == storage_errc::damaged) // what this disk had changed was removed, and is brought again
      failure.code = image_errc::digest_mismatch;
    failure.message = "cannot unpack the image " + order_.reference + ": " + failure.message;
    return failure;
  }

  const fetch_order& order_;
  const fetch_tools& tools_;
  storage::image_reference reference_;
  fetch_progress progress_;
  fetch_outcome outcome_;
  bool is_ended_ = false;
};

} // namespace

fetch_outcome fetch_image(const fetch_order& order, const fetch_tools& tools) {
  return fetch{order, tools}.run();
}

} // namespace prunella::actors
