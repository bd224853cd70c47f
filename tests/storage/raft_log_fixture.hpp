#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "storage/raft_log.hpp"
#include "tests/storage/outcome.hpp"
#include "tests/storage/temporary_folder.hpp"

namespace prunella::tests {

inline const storage::raft_log_owner owner{"harbour", 3};

inline storage::log_entry entry(std::uint64_t index, std::uint64_t term = 1, std::size_t bytes = 20) {
  storage::log_entry made;
  made.index = index;
  made.term = term;
  made.data = "entry " + std::to_string(index) + " of term " + std::to_string(term);
  made.data.resize(bytes, static_cast<char>('a' + index % 26));
  return made;
}

inline storage::raft_log_batch entries(std::uint64_t first, std::uint64_t last, std::uint64_t term = 1,
                                       std::size_t bytes = 20) {
  storage::raft_log_batch batch;
  for (auto index = first; index <= last; ++index)
    batch.entries.push_back(entry(index, term, bytes));
  return batch;
}

inline storage::raft_log_batch state(std::uint64_t term, storage::member_id vote, std::uint64_t commit) {
  storage::raft_log_batch batch;
  batch.has_state = true;
  batch.state = {term, vote, commit};
  return batch;
}

inline storage::raft_snapshot snapshot(std::uint64_t index, std::uint64_t term, std::string data = "state") {
  return {index, term, {{1, 2, 3}, {4}}, std::move(data)};
}

inline storage::result<void> compact(storage::raft_log& log, std::uint64_t up_to) {
  storage::raft_log_batch batch;
  batch.compact_to = up_to;
  return log.append(batch);
}

inline std::unique_ptr<storage::raft_log> open_log(const std::string& path) {
  return must(storage::open_raft_log(path, owner));
}

inline storage::raft_log_contents load(const std::string& path) {
  return must(open_log(path)->load());
}

} // namespace prunella::tests
