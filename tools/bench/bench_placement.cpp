// How many decisions about instances the leader's planner makes per second of one core, through the code that a site runs:
// `plan` from the replicated state, all that is to be decided at once. Only `plan` is timed, in time of the processor that
// this thread got: it neither waits nor shares, so what else runs on the machine does not count. Prints `name value unit`
// lines.
//
// Every service has a label expression (five differ; between half and all hosts match), its replicas spread over 20 zones,
// and each container reserves cpu and memory. Hosts have six labels and one of three sizes. Scenes, at 1,000 and 5,000
// hosts:
//   empty     as many new instances as there are hosts, on a site where nothing runs
//   half      the same on a site whose hosts are half full
//   singles   the same as services of one replica each, where nothing can be shared between replicas
//   nothing   as many instances that no host can hold, each with its explanation
//   heal      one host is lost: its instances, alone, as a time
//   steady    a plan of a site where nothing is to be done, as a time (who calls `plan` only does so after a change)

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "actors/site/plan.hpp"
#include "actors/site/site_state.hpp"

namespace {

using namespace prunella;

double thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

constexpr actors::time_ms now = 1'700'000'000'000;

/// A site and the time that its plans took.
class planned_site {
public:
  explicit planned_site(std::size_t hosts) {
    config::site_spec spec;
    spec.name = "bench";
    for (std::size_t i = 0; i < hosts; ++i) {
      config::host_spec x;
      x.id = "host-" + std::to_string(10'000 + i);
      x.address = "127.0.0.1:7001";
      x.labels = {{"zone", "zone-" + std::to_string(i % 20)}, {"disk", i % 2 == 0 ? "ssd" : "hdd"},
                  {"arch", i % 4 == 0 ? "arm64" : "amd64"},   {"role", i % 3 == 0 ? "till" : "kiosk"},
                  {"floor", std::to_string(i % 5)},           {"owner", "retail"}};
      const auto size = static_cast<std::int64_t>(1 + i % 3);
      x.capacity = {4'000 * size, size << 32};
      spec.hosts.push_back(std::move(x));
    }
    run(actors::register_site{std::move(spec)});
  }

  template <class Body>
  void run(Body body) {
    actors::apply(state_, actors::site_command{now, std::move(body)}, ++index_);
  }

  void put(const std::string& name, std::size_t services, std::uint32_t replicas, config::resources wants) {
    static const std::vector<std::string> expressions{"owner = retail", "disk = ssd", "not arch = arm64",
                                                      "role in (till, kiosk) and arch = amd64", "role = kiosk or disk = ssd"};
    config::application_spec spec;
    spec.name = name;
    spec.version = "1";
    for (std::size_t i = 0; i < services; ++i) {
      config::service_spec x;
      x.name = "service-" + std::to_string(i);
      x.replicas = replicas;
      x.placement.match_host_labels = expressions[(i + index_) % expressions.size()];
      x.placement.spread_by = "zone";
      config::container_spec container;
      container.name = "main";
      container.command = {"serve"};
      container.resources = wants;
      x.containers = {container};
      spec.services.push_back(std::move(x));
    }
    run(actors::put_application{std::move(spec)});
  }

  /// Plans until nothing is left to do. Returns the seconds of the plans that decided something.
  double settle(std::size_t& decided) {
    double seconds = 0;
    decided = 0;
    for (;;) {
      const auto start = thread_seconds();
      auto next = actors::plan(state_, {}, now);
      const auto took = thread_seconds() - start;
      if (next.changes.changes.empty())
        return seconds;
      seconds += took;
      decided += next.changes.changes.size();
      run(std::move(next.changes));
    }
  }

  const actors::site_state& state() const { return state_; }

private:
  actors::site_state state_;
  std::uint64_t index_ = 0;
};

constexpr config::resources small{400, std::int64_t{400} << 20};
constexpr config::resources too_large{200, std::int64_t{1} << 40};

/// `instances` in applications of 10 services.
void put_many(planned_site& site, const std::string& name, std::size_t instances, std::uint32_t replicas, config::resources wants) {
  const std::size_t each = 10 * replicas;
  for (std::size_t i = 0; i < instances / each; ++i)
    site.put(name + '-' + std::to_string(1'000 + i), 10, replicas, wants);
}

void print(const std::string& name, double value, const char* unit) { std::printf("%s %.1f %s\n", name.c_str(), value, unit); }

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "bench_placement: %s\n", why.c_str());
  std::exit(1);
}

double rate(planned_site& site, std::size_t expected, bool are_placed) {
  std::size_t decided = 0;
  const auto seconds = site.settle(decided);
  if (decided != expected)
    stop("decided about " + std::to_string(decided) + " instances instead of " + std::to_string(expected));
  const auto& all = site.state().assignments;
  const auto placed = std::count_if(all.begin(), all.end(), [](const auto& x) { return !x.second.host.empty(); });
  if (are_placed && static_cast<std::size_t>(placed) != all.size())
    stop(std::to_string(all.size() - static_cast<std::size_t>(placed)) + " instances found no host");
  return static_cast<double>(decided) / seconds;
}

/// What is left to do after one host is lost, in microseconds.
double heal_microseconds(planned_site& site) {
  const auto victim = site.state().assignments.begin()->second.host;
  site.run(actors::set_host_state{victim, false, "silent"});
  std::size_t moved = 0;
  const auto seconds = site.settle(moved);
  if (moved == 0)
    stop("nothing was on the lost host " + victim);
  return seconds * 1e6;
}

double steady_microseconds(const planned_site& site) {
  std::vector<double> times;
  for (int i = 0; i < 9; ++i) {
    const auto start = thread_seconds();
    if (!actors::plan(site.state(), {}, now).changes.changes.empty())
      stop("a settled site has something to do");
    times.push_back((thread_seconds() - start) * 1e6);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

void measure(std::size_t hosts) {
  const auto prefix = "placement_" + std::to_string(hosts) + "_hosts";
  planned_site site{hosts};
  put_many(site, "first", hosts, 10, small);
  print(prefix + "_empty", rate(site, hosts, true), "1/s");
  put_many(site, "fill", 9 * hosts, 100, small); // 10 on a host on average, of 20
  std::size_t filled = 0;
  site.settle(filled);
  put_many(site, "second", hosts, 10, small);
  const auto half_full = rate(site, hosts, true);
  print(prefix, half_full, "1/s");
  put_many(site, "single", hosts, 1, small);
  print(prefix + "_singles", rate(site, hosts, true), "1/s");
  print(prefix + "_heal", heal_microseconds(site), "us");
  print(prefix + "_steady", steady_microseconds(site), "us");
  put_many(site, "giant", hosts, 10, too_large);
  print(prefix + "_nothing_fits", rate(site, hosts, false), "1/s");
}

} // namespace

int main() {
  measure(1'000);
  measure(5'000);
  return 0;
}
