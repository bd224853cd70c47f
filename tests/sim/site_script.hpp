#pragma once

// A life of a simulated site, drawn from its seed: clients ask for things while machines, agents, actors, links, disks and
// containers fail; then everything is healed and the site has a bounded time to be as it was asked to be.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/simulated_site.hpp"

namespace prunella::tests {

struct script_options {
  std::uint64_t seed = 1;
  std::size_t hosts = 3;
  std::size_t steps = 40;
};

class site_script {
public:
  explicit site_script(script_options options);

  /// Runs the whole life. Throws broken_promise; `story()` and the journals tell how it came to it.
  void run();

  /// One line per step: virtual time and what was done.
  std::string story() const;
  simulated_site& site() { return site_; }
  /// How often each kind of step was taken.
  const std::map<std::string, std::uint64_t>& counts() const { return counts_; }

private:
  using milliseconds = std::chrono::milliseconds;

  std::uint64_t draw(std::uint64_t below) { return random_() % below; }
  const std::string& draw_from(const std::vector<std::string>& list) { return list[draw(list.size())]; }
  void note(const std::string& kind, const std::string& what);
  void take_step();
  void ask_something();
  void put(const std::string& application, const std::string& host);
  void break_machine();
  void break_network();
  void break_containers();
  void break_actor();
  void heal_and_require();

  script_options options_;
  std::mt19937_64 random_;
  simulated_site site_;
  std::vector<std::string> hosts_;
  std::uint64_t versions_ = 0;
  std::vector<std::string> story_;
  std::map<std::string, std::uint64_t> counts_;
};

} // namespace prunella::tests
