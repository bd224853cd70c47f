// A command that somebody sits at, with real processes, terminals and pipes.

#include <doctest/doctest.h>

#include <condition_variable>
#include <csignal>
#include <mutex>

#include "tests/actors/command_client.hpp"

using namespace prunella::actors;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

command_plan plan_of(std::vector<std::string> command) {
  return {"default.shop.web-1.server", 1, std::move(command), {"PATH=/usr/bin:/bin", "NAME=popcorn", "TERM=dumb"}, "/tmp", {}, {}};
}

struct client : command_client {
  client(const std::string& script, interactive_options options) : command_client{plan_of({"/bin/sh", "-c", script}), options} {}
};

constexpr interactive_options pipes{false, true, {}};
constexpr interactive_options at_terminal{true, true, {24, 80}};

} // namespace

TEST_CASE("both streams of a command are told apart, its input ends when it is told, and its code is known when all was read") {
  client x{"echo $NAME; pwd; cat; echo oops >&2; exit 7", pipes};
  x.type("one\n");
  x.type("two\n");
  REQUIRE(x.sees("two\n"));
  x.command.end_input();
  const auto end = x.end();
  CHECK(end.exit_code == 7);
  CHECK_FALSE(end.failure);
  CHECK(x.output == "popcorn\n/tmp\none\ntwo\n");
  CHECK(x.errors == "oops\n");
}

TEST_CASE("without input a command finds its input at the end") {
  client x{"cat; echo done", {false, false, {}}};
  CHECK(x.end().exit_code == 0);
  CHECK(x.output == "done\n");
}

TEST_CASE("a read that is repeated gives the same chunks, and bytes that are written twice count once") {
  client x{"cat", pipes};
  CHECK(x.command.write(0, "abc") == 3);
  CHECK(x.command.write(1, "bcdef") == 6);
  CHECK(x.command.write(9, "lost before") == 6);
  CHECK(x.command.write(6, "") == 6);
  REQUIRE(eventually([&] {
    std::string all;
    for (const auto& chunk : x.command.read(0))
      all += chunk.bytes;
    return all == "abcdef";
  }));
  x.command.end_input();
  CHECK_FALSE(eventually([&] { return x.command.end(0).has_value(); }, 200ms)); // what it printed was not confirmed
  CHECK(x.end().exit_code == 0);
  CHECK(x.output == "abcdef");
}

TEST_CASE("a command that prints more than is read waits, and nothing of it is lost when it has ended") {
  client x{"head -c 3000000 /dev/zero; echo end", pipes};
  std::uint64_t last = 0;
  REQUIRE(eventually([&] { // it stands still
    const auto now = x.command.read(0).size();
    return now * max_chunk >= max_waiting_output && std::exchange(last, now) == now;
  }));
  std::size_t bytes = 0;
  for (const auto& chunk : x.command.read(0))
    bytes += chunk.bytes.size();
  CHECK(bytes <= max_waiting_output + max_chunk);
  CHECK(x.end().exit_code == 0);
  CHECK(x.output.size() == 3'000'004);
}

TEST_CASE("input that a command does not read waits up to its bound, and the rest is refused") {
  client x{"sleep 1000", pipes};
  const std::string much(1 << 20, 'x');
  std::uint64_t taken = 0;
  std::uint64_t before = 1;
  while (taken != before) {
    before = taken;
    eventually([&] { return (taken = x.command.write(taken, std::string_view{much}.substr(taken))) != before; }, 100ms);
  }
  CHECK(taken >= max_waiting_input);
  CHECK(taken <= 2 * max_waiting_input + 64 * 1024); // and what a pipe holds
}

TEST_CASE("a terminal has its size, echoes, turns ctrl-c into an interrupt and changes its size") {
  client x{"stty size; trap 'echo interrupted' INT; echo ready; while true; do sleep 0.01; done", at_terminal};
  REQUIRE(x.sees("24 80\r\n"));
  REQUIRE(x.sees("ready"));
  x.type("\x03");
  CHECK(x.sees("interrupted"));
  client y{"trap 'stty size' WINCH; echo ready; while true; do sleep 0.01; done", at_terminal};
  REQUIRE(y.sees("ready"));
  y.command.resize({50, 132});
  CHECK(y.sees("50 132"));
}

TEST_CASE("the end of input is the end of a terminal's, and a shell at it leaves with its code") {
  client x{"cat; exit 5", at_terminal};
  x.type("line\n");
  REQUIRE(x.sees("line\r\nline\r\n")); // echoed, and printed
  x.command.end_input();
  CHECK(x.end().exit_code == 5);
}

TEST_CASE("a command that was hung up ends, also one that ignores it, with all of its process group") {
  client polite{"sleep 1000", at_terminal};
  polite.command.hang_up();
  CHECK(polite.end().exit_code == 128 + SIGHUP);
  client stubborn{"trap '' HUP TERM INT; sleep 1000 & echo $!; wait; sleep 1000", pipes};
  REQUIRE(stubborn.sees("\n"));
  const auto child = std::stoi(stubborn.output);
  stubborn.command.hang_up();
  CHECK(stubborn.end().exit_code == 128 + SIGKILL);
  CHECK(eventually([&] { return is_gone(child); }));
  client jobs{"exec sh -i", at_terminal}; // each of its jobs is a process group of its own
  jobs.type("trap '' HUP; sleep 3000 & echo; echo job $!.\n");
  REQUIRE(jobs.sees("\njob "));
  REQUIRE(jobs.sees(".\r\n"));
  const auto job = std::stoi(jobs.output.substr(jobs.output.find("\njob ") + 5));
  jobs.command.hang_up();
  jobs.end();
  CHECK(eventually([&] { return is_gone(job); }));
  pid_t left = 0;
  {
    client dropped{"echo $$; exec sleep 1000", pipes};
    REQUIRE(dropped.sees("\n"));
    left = std::stoi(dropped.output);
  }
  CHECK(is_gone(left));
}

TEST_CASE("a program that cannot be started is said to be so") {
  interactive_command command{plan_of({"/nosuch/program"}), pipes, [] {}};
  std::optional<session_end> end;
  REQUIRE(eventually([&] { return (end = command.end(command.read(0).size())).has_value(); }));
  CHECK((end->failure || end->exit_code == 127));
}
