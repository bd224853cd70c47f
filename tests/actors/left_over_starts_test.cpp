#include <doctest/doctest.h>

#include <chrono>
#include <future>

#include "actors/instance/oci/left_over_starts.hpp"

using namespace prunella::actors;
using namespace std::chrono_literals;

namespace {

std::string id_of(const std::optional<start_of_container>& taken) { return taken ? taken->id : "none"; }

} // namespace

TEST_CASE("what is left is taken in the order in which it was found, of one container or of all, and each of it once") {
  left_over_starts left;
  left.add({"web", "1"});
  left.add({"db", "2"});
  left.add({"web", "3"});
  CHECK(id_of(left.take("db")) == "2");
  CHECK(id_of(left.take("db")) == "none");
  CHECK(id_of(left.take("we")) == "none");
  CHECK(id_of(left.take()) == "1");
  CHECK(id_of(left.take("web")) == "3");
  CHECK(id_of(left.take()) == "none");
}

TEST_CASE("who awaits a container waits for all that was taken of it, and for nothing that was taken of another one") {
  left_over_starts left;
  left.add({"web", "1"});
  left.add({"web", "2"});
  left.add({"db", "3"});
  left.await("web"); // not for what nobody has taken
  const auto first = left.take();
  const auto second = left.take();
  CHECK(left.names() == std::vector<std::string>{"web", "web", "db"}); // also what is being ended
  left.take();
  left.ended(*first);
  CHECK(left.names() == std::vector<std::string>{"db", "web"});
  auto awaited = std::async(std::launch::async, [&] { left.await("web"); });
  CHECK(awaited.wait_for(0ms) == std::future_status::timeout);
  left.ended(*second);
  CHECK(awaited.wait_for(10s) == std::future_status::ready);
}
