// What agreement costs: three members on loopback, each a process of its own with links over TLS 1.3 and its log in
// SQLite, beside the disk's own floor and Debian's etcd with three members in the same run. Prints `name value unit`.
//   bench_consensus [FOLDER]        the folder (default /var/tmp) says which disk
//   bench_consensus --part NAME …   only parts: commits failover silent etcd etcd-failover

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tools/bench/child_process.hpp"
#include "tools/bench/consensus_group.hpp"
#include "tools/bench/consensus_member.hpp"
#include "tools/bench/etcd_group.hpp"
#include "tools/bench/figures.hpp"

namespace prunella::bench {
namespace {

constexpr int runs = 3; // of every load; the medians are printed
constexpr double seconds_per_run = 2;
const std::vector<int> depths{64, 256, 1024};

class load_medians {
public:
  void add(const std::string& name, const load_figures& one) { runs_[name].push_back(one); }

  double rate(const std::string& name) const { return median(name, &load_figures::per_second); }

  void show(const std::string& name, const char* unit) const {
    print(name, rate(name), unit);
    print(name + "_p50", median(name, &load_figures::p50_us), "us");
    print(name + "_p99", median(name, &load_figures::p99_us), "us");
  }

private:
  double median(const std::string& name, double load_figures::*figure) const {
    std::vector<double> values;
    for (const auto& one : runs_.at(name))
      values.push_back(one.*figure);
    return percentile(values, 0.5);
  }

  std::map<std::string, std::vector<load_figures>> runs_;
};

std::string folder_in(const std::string& folder, const std::string& name) {
  const auto path = folder + '/' + name;
  std::filesystem::create_directory(path);
  return path;
}

/// Serial commits per second, and of the bare disk, in turn; then many at a time.
void bench_commits(const std::string& folder) {
  bare_file bare(folder + "/bare");
  consensus_group group(folder_in(folder, "commits"), "balanced");
  load_medians loads;
  std::vector<double> floor;
  const auto leader = group.leader();
  const auto follower = leader % group_size + 1;
  for (int run = 0; run < runs; ++run) {
    for (int i = 0; i < 1000; ++i)
      floor.push_back(bare.append(1024));
    loads.add("consensus_serial", group.load(leader, 1, seconds_per_run));
    loads.add("consensus_serial_from_follower", group.load(follower, 1, seconds_per_run));
    for (const int depth : depths)
      loads.add("consensus_batched_" + std::to_string(depth), group.load(leader, depth, seconds_per_run));
    loads.add("consensus_batched_from_follower", group.load(follower, depths.back(), seconds_per_run));
  }
  const auto floor_rate = 1e6 / percentile(floor, 0.5);
  print("consensus_fdatasync_floor", floor_rate, "syncs/s");
  loads.show("consensus_serial", "commits/s");
  print("consensus_serial_to_floor", loads.rate("consensus_serial") / floor_rate, "ratio");
  loads.show("consensus_serial_from_follower", "commits/s");
  double best = 0;
  for (const int depth : depths) {
    const auto name = "consensus_batched_" + std::to_string(depth);
    loads.show(name, "commits/s");
    best = std::max(best, loads.rate(name));
  }
  print("consensus_batched", best, "commits/s");
  loads.show("consensus_batched_from_follower", "commits/s");
}

void show_failovers(const std::string& name, const std::vector<double>& times) {
  print(name + "_p50", percentile(times, 0.5), "ms");
  print(name + "_p99", percentile(times, 0.99), "ms");
  print(name + "_max", percentile(times, 1), "ms");
}

/// `silent`: the leader falls silent and no connection breaks, as in a power cut.
void bench_failover(const std::string& folder, bool silent) {
  consensus_group group(folder_in(folder, silent ? "silent" : "failover"), "fast");
  std::vector<double> times;
  for (int kill = 0; kill < (silent ? 20 : 50); ++kill)
    times.push_back(group.failover(silent));
  show_failovers(silent ? "consensus_failover_silent" : "consensus_failover", times);
}

void bench_etcd(const std::string& folder) {
  etcd_group group(folder_in(folder, "etcd"), {});
  load_medians loads;
  for (int run = 0; run < runs; ++run) {
    loads.add("etcd_serial", group.load(1, seconds_per_run));
    for (const int depth : depths)
      loads.add("etcd_batched_" + std::to_string(depth), group.load(depth, seconds_per_run));
  }
  loads.show("etcd_serial", "puts/s");
  for (const int depth : depths)
    loads.show("etcd_batched_" + std::to_string(depth), "puts/s");
}

void bench_etcd_failover(const std::string& folder, const std::string& name, etcd_timing timing) {
  etcd_group group(folder_in(folder, name), timing);
  std::vector<double> times;
  for (int kill = 0; kill < 10; ++kill)
    times.push_back(group.failover());
  show_failovers(name, times);
}

void bench_parts(const std::string& folder, const std::set<std::string>& parts) {
  const auto wanted = [&](const char* part) { return parts.empty() || parts.count(part) != 0; };
  if (wanted("commits"))
    bench_commits(folder);
  if (wanted("failover"))
    bench_failover(folder, false);
  if (wanted("silent"))
    bench_failover(folder, true);
  if (!has_etcd()) {
    std::cerr << "bench_consensus: SKIPPED the comparison with etcd: it is not installed (apt-get install etcd-server)\n";
    return;
  }
  if (wanted("etcd"))
    bench_etcd(folder);
  if (wanted("etcd-failover")) {
    bench_etcd_failover(folder, "etcd_failover", {});
    bench_etcd_failover(folder, "etcd_failover_tuned", {50, 500});
  }
}

} // namespace
} // namespace prunella::bench

int main(int argc, char** argv) {
  using namespace prunella::bench;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 4 && arguments[0] == "member")
    run_consensus_member(arguments[1], arguments[2], arguments[3]);
  std::string base = "/var/tmp";
  std::set<std::string> parts;
  for (std::size_t i = 0; i < arguments.size(); ++i)
    if (arguments[i] == "--part" && i + 1 < arguments.size())
      parts.insert(arguments[++i]);
    else
      base = arguments[i];
  auto folder = base + "/prunella-bench-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) {
    std::cerr << "bench_consensus: no folder in " << base << "; name one on the disk to be measured\n";
    return 1;
  }
  clean_up_when_interrupted(folder);
  int status = 0;
  try {
    bench_parts(folder, parts);
  } catch (const std::exception& failed) {
    std::cerr << "bench_consensus: " << failed.what() << '\n';
    status = 1;
  }
  std::filesystem::remove_all(folder);
  return status;
}
