#include "tools/bench/consensus_group.hpp"

#include <csignal>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "net/identity.hpp"
#include "tools/bench/figures.hpp"

namespace prunella::bench {

using namespace std::chrono_literals;

namespace {

constexpr auto patience = 20s;

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream text(line);
  std::vector<std::string> words;
  for (std::string word; text >> word;)
    words.push_back(word);
  return words;
}

} // namespace

consensus_group::consensus_group(std::string folder, std::string profile)
    : folder_(std::move(folder)), profile_(std::move(profile)) {
  std::vector<std::string> names;
  for (int i = 1; i <= group_size; ++i)
    names.push_back(member_name(i));
  net::create_site_identity(folder_ + "/site", "bench", names);
  for (int i = 1; i <= group_size; ++i)
    start(i);
  introduce();
  wait_until_whole();
}

void consensus_group::start(int number) {
  const auto at = static_cast<std::size_t>(number - 1);
  members_[at] = std::make_unique<child_process>(
      std::vector<std::string>{"/proc/self/exe", "member", folder_, member_name(number), profile_},
      child_process::talk::lines, "");
  const auto said = words_of(members_[at]->line(patience));
  if (said.size() != 2 || said[0] != "listening")
    throw std::runtime_error(member_name(number) + " did not say where it listens");
  addresses_[at] = said[1];
}

/// A member that comes back has another port.
void consensus_group::introduce() {
  for (int i = 1; i <= group_size; ++i) {
    std::string peers = "peers";
    for (int j = 1; j <= group_size; ++j)
      if (j != i)
        peers += ' ' + member_name(j) + '=' + addresses_[static_cast<std::size_t>(j - 1)];
    ask(i, peers);
  }
}

std::string consensus_group::ask(int number, const std::string& question) {
  auto& asked = member(number);
  asked.say(question);
  for (;;) {
    auto answer = asked.line(60s);
    if (answer.rfind("led ", 0) != 0) // claimed when nobody watched
      return answer;
  }
}

int consensus_group::leader() {
  for (const auto end = clock_type::now() + patience; clock_type::now() < end; std::this_thread::sleep_for(5ms))
    for (int i = 1; i <= group_size; ++i)
      if (const auto status = words_of(ask(i, "status")); status.at(1) == "leader")
        return i;
  throw std::runtime_error("the group has no leader");
}

void consensus_group::wait_until_whole() {
  std::string last;
  for (const auto end = clock_type::now() + patience; clock_type::now() < end; std::this_thread::sleep_for(5ms)) {
    last.clear();
    for (int i = 1; i <= group_size; ++i) {
      const auto status = ask(i, "status");
      if (const auto words = words_of(status); words.at(1) == "leader" && std::stoi(words.at(4)) == group_size)
        return;
      last += "; " + member_name(i) + " says " + status;
    }
  }
  throw std::runtime_error("the members of the group do not catch up (role, leader, term, members that have all)" + last);
}

load_figures consensus_group::load(int at, int outstanding, double seconds) {
  const auto to = leader();
  const auto said = words_of(
      ask(at, "load " + member_name(to) + ' ' + std::to_string(outstanding) + ' ' + std::to_string(seconds)));
  if (said.size() != 6 || said[0] != "load")
    throw std::runtime_error(member_name(at) + " did not finish its load");
  if (said[5] != "0")
    throw std::runtime_error(said[5] + " of the commands failed at " + member_name(to));
  return {std::stod(said[1]) / std::stod(said[2]), std::stod(said[3]), std::stod(said[4])};
}

double consensus_group::failover(bool silent) {
  const auto victim = leader();
  for (int i = 1; i <= group_size; ++i)
    while (member(i).has_line(0ms)) // claims from before
      member(i).line(0ms);
  const auto start = clock_type::now();
  ::kill(member(victim).pid(), silent ? SIGSTOP : SIGKILL);
  std::int64_t committed = 0;
  while (committed == 0) {
    if (clock_type::now() > start + patience)
      throw std::runtime_error("nobody took over from " + member_name(victim));
    for (int i = 1; i <= group_size && committed == 0; ++i)
      if (i != victim && member(i).has_line(1ms))
        committed = std::stoll(words_of(member(i).line(0ms)).at(2));
  }
  const auto took = static_cast<double>(committed) -
                    static_cast<double>(std::chrono::nanoseconds(start.time_since_epoch()).count());
  member(victim).kill();
  start_again(victim);
  return took / 1e6;
}

void consensus_group::start_again(int number) {
  start(number);
  introduce();
  wait_until_whole();
}

} // namespace prunella::bench
