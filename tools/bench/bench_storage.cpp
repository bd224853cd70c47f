// What storing costs. Prints `name value unit` lines; whatever is durable also as a ratio to a bare write + fdatasync
// on the same disk, measured in turn with it, because disks differ by more than any code does.
//   bench_storage [FOLDER]   the folder (default /var/tmp) says which disk

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

#include "storage/container_records.hpp"
#include "storage/event_journal.hpp"
#include "storage/raft_log.hpp"
#include "storage/site_database.hpp"
#include "tools/bench/figures.hpp"

namespace {

using namespace prunella;
using namespace prunella::bench;

double cpu_microseconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec); };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

/// Bytes handed to write calls. (`write_bytes` counts whole cached folios, which may be hundreds of KiB each.)
double written_bytes() {
  std::ifstream io("/proc/self/io");
  std::string name;
  double value = 0;
  while (io >> name >> value)
    if (name == "wchar:")
      return value;
  return 0;
}

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "bench_storage: %s\n", why.c_str());
  std::exit(1);
}

template <class T>
T must(storage::result<T> outcome) {
  if (!outcome)
    stop(outcome.error().message);
  return std::move(*outcome);
}

void must(const storage::result<void>& outcome) {
  if (!outcome)
    stop(outcome.error().message);
}

storage::raft_log_batch batch_of(std::uint64_t first, int count) {
  storage::raft_log_batch batch;
  for (int i = 0; i < count; ++i)
    batch.entries.push_back(
        {1, first + static_cast<std::uint64_t>(i), storage::entry_kind::command, std::string(1024, 'd')});
  return batch;
}

void bench_appends(const std::string& folder) {
  bare_file bare(folder + "/bare");
  const auto path = folder + "/raft.db";
  auto log = must(storage::open_raft_log(path, {"bench", 1}));
  std::vector<double> floor, durable;
  const auto before = written_bytes();
  double bare_bytes = 0;
  for (int block = 0; block < 40; ++block) {
    const auto at = written_bytes();
    for (int i = 0; i < 50; ++i)
      floor.push_back(bare.append(1024));
    bare_bytes += written_bytes() - at;
    for (int i = 0; i < 50; ++i) {
      const auto batch = batch_of(log->last_index() + 1, 1);
      const auto start = clock_type::now();
      must(log->append(batch));
      durable.push_back(microseconds_since(start));
    }
  }
  print("fdatasync_floor_1KiB_p50", percentile(floor, 0.5), "us");
  print("fdatasync_floor_1KiB_p99", percentile(floor, 0.99), "us");
  print("raft_append_1KiB_p50", percentile(durable, 0.5), "us");
  print("raft_append_1KiB_p99", percentile(durable, 0.99), "us");
  print("raft_append_1KiB_to_floor_p50", percentile(durable, 0.5) / percentile(floor, 0.5), "ratio");
  print("raft_append_1KiB_written", (written_bytes() - before - bare_bytes) / (2000.0 * 1024.0), "bytes/byte");
}

void bench_batches(const std::string& folder) {
  auto log = must(storage::open_raft_log(folder + "/raft.db", {"bench", 1}));
  for (const int count : {16, 128, 1000, 5000}) {
    const int rounds = std::max(4, 20'000 / count);
    std::vector<storage::raft_log_batch> batches;
    for (int i = 0; i < rounds; ++i)
      batches.push_back(
          batch_of(log->last_index() + 1 + static_cast<std::uint64_t>(i) * static_cast<std::uint64_t>(count), count));
    const auto cpu = cpu_microseconds();
    const auto start = clock_type::now();
    for (const auto& batch : batches)
      must(log->append(batch));
    const auto wall = microseconds_since(start);
    const double entries = static_cast<double>(rounds) * count;
    print("raft_append_batch_" + std::to_string(count), entries / wall * 1e6, "entries/s");
    print("raft_append_batch_" + std::to_string(count) + "_cpu", (cpu_microseconds() - cpu) / entries, "us/entry");
  }
  auto start = clock_type::now();
  const auto contents = must(log->load());
  print("raft_load", static_cast<double>(contents.entries.size()) / microseconds_since(start) * 1e6, "entries/s");
  must(log->save_snapshot({log->last_index(), 1, {{1}, {}}, std::string(1u << 20, 's')}));
  start = clock_type::now();
  storage::raft_log_batch compaction;
  compaction.compact_to = log->last_index();
  must(log->append(compaction));
  print("raft_compact", static_cast<double>(contents.entries.size()) / microseconds_since(start) * 1e6, "entries/s");
  log.reset();
  start = clock_type::now();
  log = must(storage::open_raft_log(folder + "/raft.db", {"bench", 1}));
  print("raft_open", microseconds_since(start) / 1000, "ms");
}

template <class Action>
void bench_each(const std::string& name, int rounds, Action&& action) {
  std::vector<double> times;
  for (int i = 1; i <= rounds; ++i) {
    const auto start = clock_type::now();
    action(i);
    times.push_back(microseconds_since(start));
  }
  print(name + "_p50", percentile(times, 0.5), "us");
  print(name + "_p99", percentile(times, 0.99), "us");
}

void bench_others(const std::string& folder) {
  const storage::host_owner host{"bench", "host-1"};
  auto site = must(storage::open_site_database(folder + "/site.db", host));
  bench_each("site_apply_1KiB", 5000, [&](int i) {
    must(site->apply({static_cast<std::uint64_t>(i), 1, {}, {{"k", std::to_string(i % 500), std::string(1024, 'v')}}}));
  });
  auto journal = must(storage::open_event_journal(folder + "/events.db", host, {}));
  bench_each("journal_append_1", 5000, [&](int i) {
    must(journal->append({{"host-1", static_cast<std::uint64_t>(i), i, "instance/default.popcorn.web-1", "starting",
                           "running", "started", "assignment 12"}},
                         i));
  });
  auto records = must(storage::open_container_records(folder + "/containers.db", host));
  bench_each("container_put", 5000, [&](int i) {
    must(records->put({"t.a.web-" + std::to_string(i % 50), 1, i, 1, "boot", "hash", 1, "/log"}));
  });
}

} // namespace

int main(int argc, char** argv) {
  std::string folder = std::string(argc > 1 ? argv[1] : "/var/tmp") + "/prunella-bench-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr)
    stop("cannot create " + folder);
  bench_appends(folder);
  bench_batches(folder);
  bench_others(folder);
  std::filesystem::remove_all(folder);
}
