#include "actors/host/blob_copy.hpp"

#include <deque>
#include <utility>

namespace prunella::actors {

using storage::storage_errc;
using storage::storage_error;

namespace {

/// Takes what is still under way, so that the peer's next answer is to the next question.
void drain(blob_peer& peer, std::size_t parts) {
  for (; parts > 0; --parts)
    static_cast<void>(peer.take());
}

storage::result<void> check(const blob_part& part, const storage::descriptor& blob, blob_window& window,
                            std::chrono::microseconds took) {
  if (part.total_bytes != blob.size)
    return storage_error{storage_errc::unverified, "the blob " + blob.digest.text() + " has " + std::to_string(blob.size)
                                                     + " bytes, and it offers one of " + std::to_string(part.total_bytes)};
  if (const auto wrong = window.arrived(part.offset, part.bytes.size(), took); !wrong.empty())
    return storage_error{storage_errc::unverified, wrong};
  return {};
}

} // namespace

storage::result<std::uint64_t> size_at(blob_peer& peer, const storage::digest& blob) {
  peer.ask(blob, {0, 1});
  auto part = peer.take();
  if (!part)
    return part.error();
  return part->total_bytes;
}

storage::result<void> copy_blob(storage::blob_store& store, const storage::descriptor& blob, blob_peer& peer,
                                const copy_tools& tools) {
  if (const auto size = store.size(blob.digest); size && *size == blob.size) // else its disk lost the rest: it is brought anew
    return {};
  auto writer = store.write(blob);
  if (!writer)
    return writer.error();
  if (tools.progress && writer->offset() > 0)
    tools.progress(writer->offset());
  blob_window window(blob.size, writer->offset(), tools.window);
  std::deque<runtime::instant> asked_at;
  while (!window.is_done()) {
    while (const auto part = window.next()) {
      if (tools.pace)
        tools.pace(part->bytes);
      peer.ask(blob.digest, *part);
      asked_at.push_back(tools.now());
    }
    auto part = peer.take();
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(tools.now() - asked_at.front());
    asked_at.pop_front();
    storage::result<void> done;
    if (!part)
      done = part.error();
    if (done)
      done = check(*part, blob, window, took);
    if (done)
      done = writer->write(part->bytes);
    if (done && tools.progress && !tools.progress(part->bytes.size()))
      done = storage_error{storage_errc::unreachable, "the copy was ended on request; what has arrived is kept"};
    if (!done) {
      drain(peer, asked_at.size());
      if (done.error().code == storage_errc::unverified)
        peer.doubt(blob.digest);
      return done;
    }
  }
  auto whole = writer->commit();
  if (!whole && whole.error().code == storage_errc::unverified)
    peer.doubt(blob.digest);
  return whole;
}

} // namespace prunella::actors
