#include "storage/raft_log.hpp"

#include <algorithm>
#include <optional>

#include "storage/raft_log_rows.hpp"

namespace prunella::storage {

namespace {

storage_error refused(std::string why) {
  return {storage_errc::invalid_argument, std::move(why)};
}

std::string text(std::uint64_t number) {
  return std::to_string(number);
}

class sqlite_raft_log final : public raft_log {
public:
  sqlite_raft_log(std::shared_ptr<sqlite_file> file, commit_mark mark)
      : file_(std::move(file)), mark_(std::move(mark)),
        writer_(file_->db()), finder_(file_->db()),
        truncate_(file_->db(), "DELETE FROM entry WHERE idx>=?"),
        compact_(file_->db(), "DELETE FROM entry WHERE idx<=?"),
        get_link_(file_->db(), "SELECT term, sum FROM entry WHERE idx=?"), head_(read_head(*file_)) {
    tail_ = link_at(head_, std::max(head_.compacted_index, finder_.span_at(max_log_index).last));
    SQLite::Statement snapshot(file_->db(), "SELECT idx, term FROM snapshot");
    if (snapshot.executeStep()) {
      snapshot_index_ = column_number(snapshot, 0);
      snapshot_term_ = column_number(snapshot, 1);
    }
    witness();
  }

  result<raft_log_contents> load() override {
    return file_->guarded("read", [&] {
      raft_log_contents contents;
      contents.state = head_.state;
      contents.compacted_index = head_.compacted_index;
      contents.compacted_term = head_.compacted_term;
      contents.repaired = head_.repaired;
      auto problem = read_snapshot(file_->db(), contents.snapshot);
      contents.entries.reserve(static_cast<std::size_t>(tail_.index - head_.compacted_index));
      if (problem.empty())
        problem = read_entries(file_->db(), head_, [&](log_entry&& entry, const checksum&) {
          contents.entries.push_back(std::move(entry));
        });
      const auto last = contents.entries.empty() ? head_.compacted_index : contents.entries.back().index;
      if (problem.empty())
        problem = fit_snapshot(head_, contents.snapshot, last);
      if (problem.empty() && last != tail_.index)
        problem = "entries behind " + text(last) + " are gone";
      if (!problem.empty())
        throw storage_failure{file_->damage(problem)};
      return contents;
    });
  }

  result<void> append(const raft_log_batch& batch) override {
    auto problem = check(batch);
    if (!problem.empty())
      return refused(std::move(problem));
    const auto compact_to = batch.compact_to > head_.compacted_index ? end_of_row_within(batch.compact_to) : 0;
    const bool compacts = compact_to > head_.compacted_index;
    if (!batch.has_state && batch.truncate_from == 0 && batch.entries.empty() && !compacts)
      return {};
    auto head = head_;
    auto tail = tail_;
    auto done = file_->transact("append to", [&] {
      if (batch.truncate_from != 0 && batch.truncate_from <= tail.index)
        tail = truncate(head, batch.truncate_from);
      writer_.add(batch.entries, tail);
      if (compacts)
        compact(head, compact_to);
      if (batch.has_state)
        head.state = batch.state;
      // A shorter log must not look as if it had lost its end, so truncation too makes a new revision.
      if (batch.has_state || batch.truncate_from != 0 || compacts)
        write_head(head);
    });
    return settle(done, head, tail);
  }

  result<void> save_snapshot(const raft_snapshot& snapshot) override {
    if (snapshot.index == snapshot_index_ && snapshot.term == snapshot_term_)
      return {};
    if (snapshot.index <= snapshot_index_ || snapshot.index >= max_log_index || snapshot.term == 0)
      return refused("the snapshot at index " + text(snapshot.index) + ", term " + text(snapshot.term) +
                     " does not follow the stored one at index " + text(snapshot_index_));
    if (snapshot.data.size() > max_snapshot_bytes)
      return refused("a snapshot of " + text(snapshot.data.size()) + " bytes is larger than the " +
                     text(max_snapshot_bytes) + " allowed");
    auto head = head_;
    auto tail = tail_;
    auto done = file_->transact("save a snapshot in", [&] {
      write_snapshot(file_->db(), sums_, snapshot);
      if (!leads_to(snapshot)) {
        run(truncate_all());
        head.compacted_index = snapshot.index;
        head.compacted_term = snapshot.term;
        head.compacted_sum = chain_start(sums_, snapshot.index, snapshot.term);
        tail = {snapshot.index, snapshot.term, head.compacted_sum};
      }
      write_head(head);
    });
    if (done) {
      snapshot_index_ = snapshot.index;
      snapshot_term_ = snapshot.term;
    }
    return settle(done, head, tail);
  }

  std::uint64_t first_index() const override { return head_.compacted_index + 1; }
  std::uint64_t last_index() const override { return tail_.index; }

private:
  /// "" or why the batch cannot follow what is stored.
  std::string check(const raft_log_batch& batch) const {
    if (batch.truncate_from != 0 && batch.truncate_from <= head_.compacted_index)
      return "cannot truncate from " + text(batch.truncate_from) + ": entries up to " + text(head_.compacted_index) +
             " are compacted and cannot change";
    if (batch.compact_to > snapshot_index_)
      return "cannot drop entries up to " + text(batch.compact_to) + ": the snapshot holds only those up to " +
             text(snapshot_index_);
    if (batch.truncate_from != 0 && batch.truncate_from <= snapshot_index_)
      return "cannot truncate from " + text(batch.truncate_from) + ": the snapshot holds the entries up to " +
             text(snapshot_index_);
    auto last = tail_.index;
    if (batch.truncate_from != 0)
      last = std::min(last, batch.truncate_from - 1);
    for (const auto& entry : batch.entries) {
      if (entry.index != last + 1 || entry.index >= max_log_index)
        return "entry " + text(entry.index) + " cannot follow entry " + text(last) + ": expected " + text(last + 1);
      if (entry.data.size() > max_entry_bytes)
        return "entry " + text(entry.index) + " has " + text(entry.data.size()) + " bytes, more than the " +
               text(max_entry_bytes) + " allowed";
      last = entry.index;
    }
    return batch.has_state ? check(batch.state) : std::string{};
  }

  /// A term that goes back or a second vote in one term would let two leaders rule the same term.
  std::string check(const hard_state& state) const {
    const auto& stored = head_.state;
    if (state.term < stored.term)
      return "term " + text(state.term) + " is older than the stored term " + text(stored.term);
    if (state.term == stored.term && stored.voted_for != 0 && state.voted_for != stored.voted_for)
      return "this member voted for " + text(stored.voted_for) + " in term " + text(state.term) +
             " and cannot change that to " + text(state.voted_for);
    return {};
  }

  /// The link at `index`, which is kept or the last compacted one.
  raft_log_tail link_at(const raft_log_head& head, std::uint64_t index) {
    if (index == head.compacted_index)
      return {head.compacted_index, head.compacted_term, head.compacted_sum};
    const auto span = finder_.span_at(index);
    if (span.first <= head.compacted_index || index > span.last)
      throw storage_failure{file_->damage("entry " + text(index) + " is missing")};
    if (index < span.last) { // in the middle of a row: what it holds tells
      const auto [entry, sum] = row_of(head, span)[static_cast<std::size_t>(index - span.first)];
      return {entry.index, entry.term, sum};
    }
    const statement_reset after(get_link_);
    bind_number(get_link_, 1, span.first);
    raft_log_tail link;
    link.index = index;
    const bool found = get_link_.executeStep();
    if (!found || column_bytes(get_link_, 1).size() != link.sum.size())
      throw storage_failure{file_->damage("entry " + text(index) + " is missing")};
    link.term = column_number(get_link_, 0);
    const auto sum = column_bytes(get_link_, 1);
    std::copy_n(reinterpret_cast<const unsigned char*>(sum.data()), link.sum.size(), link.sum.begin());
    return link;
  }

  linked_entries row_of(const raft_log_head& head, const raft_log_span& span) {
    const auto before = span.first - 1;
    if (before != head.compacted_index && finder_.span_at(before).last != before)
      throw storage_failure{file_->damage("entry " + text(before) + " is missing")};
    linked_entries entries;
    const auto problem = finder_.read_behind(link_at(head, before), entries);
    if (!problem.empty())
      throw storage_failure{file_->damage(problem)};
    return entries;
  }

  /// Drops the entries from `from` on, and returns the link before them.
  raft_log_tail truncate(const raft_log_head& head, std::uint64_t from) {
    auto span = finder_.span_at(from);
    std::vector<log_entry> kept; // of a row that is cut in two
    if (span.first < from && from <= span.last)
      for (auto& linked : row_of(head, span))
        if (linked.first.index < from)
          kept.push_back(std::move(linked.first));
    const auto first = kept.empty() ? from : span.first;
    bind_number(truncate_, 1, first);
    run(truncate_);
    auto tail = link_at(head, first - 1);
    writer_.add(kept, tail);
    return tail;
  }

  /// `index`, or if its row reaches beyond it the last index before that row.
  std::uint64_t end_of_row_within(std::uint64_t index) {
    const auto span = finder_.span_at(index);
    return span.last > index ? span.first - 1 : index;
  }

  void compact(raft_log_head& head, std::uint64_t up_to) {
    const auto link = link_at(head, up_to);
    head.compacted_index = link.index;
    head.compacted_term = link.term;
    head.compacted_sum = link.sum;
    bind_number(compact_, 1, up_to);
    run(compact_);
  }

  bool leads_to(const raft_snapshot& snapshot) {
    return snapshot.index >= head_.compacted_index && snapshot.index <= tail_.index &&
           link_at(head_, snapshot.index).term == snapshot.term;
  }

  SQLite::Statement& truncate_all() {
    bind_number(truncate_, 1, 0);
    return truncate_;
  }

  void write_head(raft_log_head& head) {
    ++head.revision;
    file_->set_meta(raft_log_head_key, to_bytes(head));
  }

  /// What is in memory follows what is on disk, only once that is certain.
  result<void> settle(const result<void>& done, const raft_log_head& head, const raft_log_tail& tail) {
    if (!done)
      return done;
    head_ = head;
    tail_ = tail;
    witness();
    return done;
  }

  void witness() { mark_.write({head_.revision, tail_.index}); }

  std::shared_ptr<sqlite_file> file_;
  commit_mark mark_;
  raft_log_row_writer writer_;
  raft_log_row_finder finder_;
  SQLite::Statement truncate_, compact_, get_link_;
  checksum_builder sums_;
  raft_log_head head_;
  raft_log_tail tail_;
  std::uint64_t snapshot_index_ = 0;
  std::uint64_t snapshot_term_ = 0;
};

/// Refuses a file that is behind its mark, which it reads before the write-ahead log is merged.
void verify_against_mark(sqlite_file& file, const commit_mark& mark) {
  const auto seen = mark.read();
  if (file.created()) {
    if (seen && (seen->revision != 0 || seen->last_index != 0))
      fail(storage_errc::damaged, "the Raft log " + file.path() + " is gone, though entries up to " +
                                      text(seen->last_index) +
                                      " had been stored in it; if it was removed on purpose, remove " + file.path() +
                                      ".mark too and let the host rejoin empty");
    return;
  }
  const auto head = read_head(file);
  const auto last = raft_log_row_finder(file.db()).span_at(max_log_index).last;
  const mark_position position{head.revision, std::max(last, head.compacted_index)};
  if (seen && is_behind(position, *seen))
    throw storage_failure{file.damage("it ends at entry " + text(position.last_index) + " and revision " +
                                      text(position.revision) + ", but entry " + text(seen->last_index) +
                                      " and revision " + text(seen->revision) +
                                      " had been stored: its end was lost, or it is an old copy")};
}

} // namespace

result<std::unique_ptr<raft_log>> open_raft_log(const std::string& path, const raft_log_owner& owner) {
  if (owner.site.empty() || owner.member == 0)
    return refused("a Raft log needs a site's name and a member id other than 0");
  std::optional<commit_mark> mark;
  auto options = raft_log_file_options(path, owner);
  options.initial_meta.emplace_back(raft_log_head_key, to_bytes(raft_log_head{}));
  options.verify = [&](sqlite_file& file) {
    auto opened = commit_mark::open(path + ".mark");
    if (!opened)
      throw storage_failure{opened.error()};
    mark.emplace(std::move(*opened));
    verify_against_mark(file, *mark);
  };
  auto opened = sqlite_file::open(path, options);
  if (!opened)
    return opened.error();
  const std::shared_ptr<sqlite_file> file = std::move(*opened);
  return file->guarded(
      "read", [&]() -> std::unique_ptr<raft_log> { return std::make_unique<sqlite_raft_log>(file, std::move(*mark)); });
}

} // namespace prunella::storage
