// When what a container wrote is counted, and when it is too much.

#include <doctest/doctest.h>

#include "actors/instance/disk_limit.hpp"

using namespace prunella::actors;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t mebi = 1024 * 1024;
const disk_limit::instant start{};

} // namespace

TEST_CASE("exactly the limit is allowed, and one byte more is told in words") {
  disk_limit limit{1024 * mebi};
  CHECK(limit.on_measured({1024 * mebi}, start).empty());
  CHECK(limit.on_measured({1024 * mebi + 1}, start) == "filled 1 GiB of its disk limit of 1 GiB");
  CHECK(limit.on_measured({1229 * mebi}, start) == "filled 1.2 GiB of its disk limit of 1 GiB");
}

TEST_CASE("what cannot be counted to its end is over any limit") {
  disk_limit limit{1024 * mebi};
  CHECK(limit.on_measured({1, true}, start) == "has more files, or deeper folders, than a disk limit can count");
}

TEST_CASE("the first two looks come soon, and what does not grow is looked at every ten seconds") {
  disk_limit limit{100 * mebi};
  CHECK(limit.pause() == 1s);
  limit.on_measured({10 * mebi}, start);
  CHECK(limit.pause() == 1s);
  limit.on_measured({10 * mebi}, start + 1s);
  CHECK(limit.pause() == 10s);
  limit.on_measured({5 * mebi}, start + 11s);
  CHECK(limit.pause() == 10s);
}

TEST_CASE("the next look comes in half of the time in which the limit would be reached, within one and ten seconds") {
  disk_limit limit{100 * mebi};
  limit.on_measured({0}, start);
  limit.on_measured({10 * mebi}, start + 1s); // 9 s more
  CHECK(limit.pause() == 4'500ms);
  limit.on_measured({90 * mebi}, start + 2s);
  CHECK(limit.pause() == 1s);
  limit.on_measured({90 * mebi + 1}, start + 3s);
  CHECK(limit.pause() == 10s);
  limit.on_measured({90 * mebi + 2}, start + 3s); // twice at the same moment
  CHECK(limit.pause() == 10s);
}
