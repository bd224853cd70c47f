#include "tests/cluster/site_watch.hpp"

#include <poll.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "actors/instance/proc_filesystem.hpp"

namespace prunella::tests {

namespace {

/// A container's main process leads a session of its own; what it starts shares the mark.
using copy = std::tuple<std::string, std::uint64_t, std::string>; ///< container, generation, agent's folder

std::multiset<copy> copies_in(const std::vector<std::string>& folders) {
  std::multiset<copy> found;
  for (const auto& folder : folders)
    for (const auto& x : actors::find_marked_processes(folder))
      if (x.stat.session == x.stat.pid && x.stat.state != 'Z')
        found.insert({x.mark.container, x.mark.generation, folder});
  return found;
}

/// Empty if what runs is what is specified, else the first difference.
std::string difference(const site_processes& site, const std::vector<config::application_spec>& specs) {
  std::map<std::string, std::size_t> wanted; // containers by instance
  for (const auto& spec : specs)
    for (const auto& service : spec.services)
      for (unsigned replica = 1; replica <= service.replicas; ++replica)
        wanted[spec.tenant + '.' + spec.name + '.' + service.name + '-' + std::to_string(replica)] = service.containers.size();
  std::multiset<copy> expected;
  for (const auto& x : site.instances()) {
    if (wanted.count(x.name) == 0)
      return x.name + " is there and not asked for (" + x.state + ")";
    if (x.state != "running" || x.containers.size() != wanted[x.name])
      return x.name + " is " + x.state + ": " + x.reason;
    for (const auto& container : x.containers)
      expected.insert({container.name, x.generation, site.data_dir(x.host).string()});
    wanted.erase(x.name);
  }
  if (!wanted.empty())
    return wanted.begin()->first + " is missing";
  std::vector<std::string> folders;
  for (const auto& host : site.hosts())
    folders.push_back(site.data_dir(host).string());
  const auto found = copies_in(folders);
  for (const auto& x : found)
    if (found.count(x) != expected.count(x))
      return std::get<0>(x) + " generation " + std::to_string(std::get<1>(x)) + " runs in " + std::get<2>(x) + " and should not";
  return found == expected ? std::string{} : "a process that should run does not";
}

} // namespace

void wait_for_specified(const site_processes& site, const std::vector<config::application_spec>& specs,
                        std::chrono::milliseconds limit) {
  std::string last;
  const bool good = eventually([&] { return (last = difference(site, specs)).empty(); }, limit);
  if (!good)
    FAIL("what runs is not what was asked for: " << last << "\n" << site.describe());
}

copies_watch::copies_watch(const site_processes& site) : folder_{site.folder().string()}, thread_{[this, hosts = site.hosts()] {
  std::vector<std::string> folders;
  for (const auto& host : hosts)
    folders.push_back(folder_ + '/' + host);
  while (!stopping_) {
    ++looks_;
    std::map<std::pair<std::string, std::uint64_t>, std::string> seen;
    for (const auto& [container, generation, folder] : copies_in(folders)) {
      const auto [it, is_first] = seen.emplace(std::make_pair(container, generation), folder);
      if (!is_first && fault_.empty())
        fault_ = container + " generation " + std::to_string(generation) + " ran twice: in " + it->second + " and " + folder;
    }
    poll(nullptr, 0, 50);
  }
}} {}

void copies_watch::stop() {
  stopping_ = true;
  if (thread_.joinable())
    thread_.join();
}

void copies_watch::check() {
  stop();
  CHECK_MESSAGE(fault_.empty(), fault_);
  CHECK(looks_ > 0);
}

} // namespace prunella::tests
