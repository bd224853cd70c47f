#include <doctest/doctest.h>

#include "tests/sim/client_record.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

actors::site_state site_with(const std::string& version) {
  actors::site_state state;
  if (!version.empty())
    state.applications["default.shop"].spec.version = version;
  return state;
}

content_change put(const std::string& version) {
  return [version](const maybe_content&) { return maybe_content{application_content{version, {}}}; };
}

} // namespace

TEST_CASE("client record: a request without an answer may or may not have taken effect") {
  client_record record;
  record.asked("default.shop", put("1"));
  CHECK(record.judge(site_with("")).empty());
  CHECK(record.judge(site_with("1")).empty());
  CHECK_FALSE(record.judge(site_with("2")).empty());
}

TEST_CASE("client record: what was acknowledged must be there") {
  client_record record;
  record.asked("default.shop", put("1"));
  record.answered("default.shop", 201, 0ms);
  CHECK(record.judge(site_with("1")).empty());
  CHECK_FALSE(record.judge(site_with("")).empty());
}

TEST_CASE("client record: what was refused must not be there") {
  client_record record;
  record.asked("default.shop", put("1"));
  record.answered("default.shop", 422, 0ms);
  CHECK(record.judge(site_with("")).empty());
  CHECK_FALSE(record.judge(site_with("1")).empty());
}

TEST_CASE("client record: an answer that says that nothing was changed is a refusal, whatever its status") {
  client_record record;
  record.asked("default.shop", put("1"));
  record.answered("default.shop", 503, 0ms, R"({"fix": "nothing was changed; what runs keeps running"})");
  CHECK(record.refused() == 1);
  CHECK(record.unclear() == 0);
  CHECK(record.judge(site_with("")).empty());
  CHECK_FALSE(record.judge(site_with("1")).empty());
}

TEST_CASE("client record: an unclear request counts as possible until its late effect is over and another was acknowledged") {
  client_record record;
  record.asked("default.shop", put("1"));
  record.answered("default.shop", 503, 0ms);
  record.asked("default.shop", put("2"));
  record.answered("default.shop", 200, 1ms);
  CHECK(record.judge(site_with("1")).empty());
  CHECK(record.judge(site_with("2")).empty());
  CHECK_FALSE(record.judge(site_with("")).empty());
  record.asked("default.shop", put("3"));
  record.answered("default.shop", 200, client_record::late_effect + 1ms);
  CHECK(record.judge(site_with("3")).empty());
  CHECK_FALSE(record.judge(site_with("1")).empty());
}

TEST_CASE("client record: an unclear request may have taken effect although its time is over") {
  client_record record;
  record.asked("default.shop", put("1"));
  record.answered("default.shop", 503, 0ms);
  record.asked("default.shop", put("2"));
  record.answered("default.shop", 503, client_record::late_effect + 1ms);
  CHECK(record.judge(site_with("1")).empty());
  CHECK(record.judge(site_with("2")).empty());
  CHECK(record.judge(site_with("")).empty());
}
