// Whose logs a request means, cursors, and several logs as one.

#include <doctest/doctest.h>

#include "actors/logs/log_reading.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace std::chrono_literals;

namespace {

/// `shop` with three `web` (containers `front`, init `setup`) on host-1, host-2 and nowhere, and one `till` on host-2.
site_state shop() {
  site_state state;
  config::application_spec spec;
  spec.tenant = "default";
  spec.name = "shop";
  config::service_spec web;
  web.name = "web";
  web.containers.resize(1);
  web.containers[0].name = "front";
  web.init_containers.resize(1);
  web.init_containers[0].name = "setup";
  auto till = web;
  till.name = "till";
  till.init_containers.clear();
  spec.services = {web, till};
  state.applications["default.shop"].spec = spec;
  const auto assign = [&](const std::string& service, std::uint32_t replica, const std::string& host) {
    auto& x = state.assignments["default.shop." + service + "-" + std::to_string(replica)];
    x.tenant = "default";
    x.application = "shop";
    x.service = service;
    x.replica = replica;
    x.host = host;
  };
  assign("web", 1, "host-1");
  assign("web", 2, "host-2");
  assign("web", 10, "");
  state.assignments["default.shop.web-10"].reason = "no host has room";
  assign("till", 1, "host-2");
  return state;
}

logs_request request_of(const std::string& of, bool all = false) {
  logs_request request;
  request.of = of;
  request.all_replicas = all;
  return request;
}

std::vector<std::string> found(const std::string& of, bool all = false) {
  const auto result = find_log_targets(shop(), request_of(of, all));
  std::vector<std::string> names;
  if (const auto* targets = std::get_if<log_targets>(&result))
    for (const auto& x : targets->targets)
      names.push_back(x.container + "@" + x.host);
  return names;
}

std::vector<std::string> notes(const std::string& of, bool all = false) {
  const auto result = find_log_targets(shop(), request_of(of, all));
  return std::holds_alternative<log_targets>(result) ? std::get<log_targets>(result).notes : std::vector<std::string>{};
}

using texts = std::vector<std::string>;

/// A page of entries at these times, `(time)` each, cuttable everywhere.
read_log log_of(const std::string& container, const std::vector<std::int64_t>& times, bool has_more = false) {
  read_log log{{container, "host-1", false}, {}};
  log.page.begin = {7, 0};
  for (const auto at : times) {
    const log_position next{7, log.page.entries.empty() ? 10 : log.page.entries.back().next.offset + 10};
    log.page.entries.push_back({at, false, false, container + std::to_string(at), next});
  }
  log.page.next = log.page.entries.empty() ? log.page.begin : log.page.entries.back().next;
  log.page.has_more = has_more;
  return log;
}

texts lines_of(const merged_logs& merged) {
  texts lines;
  for (const auto& line : merged.lines)
    lines.push_back(line.text);
  return lines;
}

} // namespace

TEST_CASE("an instance means its containers, with or without the default tenant, and with a slash one of them") {
  const texts both{"default.shop.web-1.setup@host-1", "default.shop.web-1.front@host-1"};
  CHECK(found("default.shop.web-1") == both);
  CHECK(found("shop.web-1") == both);
  CHECK(found("shop.web-1/front") == texts{"default.shop.web-1.front@host-1"});
  CHECK(found("shop.web-1/nosuch").empty());
  CHECK(notes("shop.web-1").empty());
  CHECK(notes("shop.web-10") == texts{"default.shop.web-10 is on no host: no host has room"});
}

TEST_CASE("an application or service means its first placed replica, and with all replicas each of them by number") {
  CHECK(found("shop/web") == found("shop.web-1"));
  CHECK(notes("shop/web") == texts{"of the 3 replicas of web this is default.shop.web-1; all-replicas shows all of them"});
  CHECK(found("shop") == texts{"default.shop.till-1.front@host-2", "default.shop.web-1.setup@host-1", "default.shop.web-1.front@host-1"});
  CHECK(found("default.shop/web", true) == texts{"default.shop.web-1.setup@host-1", "default.shop.web-1.front@host-1",
                                                 "default.shop.web-2.setup@host-2", "default.shop.web-2.front@host-2"});
  CHECK(notes("shop/till").empty());
}

TEST_CASE("with all hosts each container is read on each host of the site, its present one first, also if it is on none") {
  auto state = shop();
  for (const auto* host : {"host-1", "host-2", "host-3"})
    state.hosts[host];
  auto request = request_of("shop/till");
  request.all_hosts = true;
  auto result = find_log_targets(state, request);
  texts names;
  for (const auto& x : std::get<log_targets>(result).targets)
    names.push_back(log_name(x));
  CHECK(names == texts{"default.shop.till-1.front@host-2", "default.shop.till-1.front@host-1", "default.shop.till-1.front@host-3"});
  request.of = "shop.web-10/front";
  result = find_log_targets(state, request);
  CHECK(std::get<log_targets>(result).targets.size() == 3);
  CHECK(std::get<log_targets>(result).notes == texts{"default.shop.web-10 is on no host: no host has room"});
  for (int i = 0; i < 200; ++i)
    state.hosts["host-" + std::to_string(i)];
  result = find_log_targets(state, request);
  CHECK(std::get<log_targets>(result).targets.size() == max_log_targets);
  CHECK(std::get<log_targets>(result).notes.back() == "these are the first 192 of 200 logs; name a service or an instance for the others");
}

TEST_CASE("the logs of one container on several hosts are read on their own, and their lines say where they are") {
  auto here = log_of("a", {10, 30});
  auto there = log_of("a", {20});
  here.target = {"a", "host-1", true};
  there.target = {"a", "host-2", true};
  std::map<std::uint32_t, log_position> positions;
  const auto merged = merge_logs({std::move(here), std::move(there)}, positions);
  texts hosts;
  for (const auto& line : merged.lines)
    hosts.push_back(line.host);
  CHECK(hosts == texts{"host-1", "host-2", "host-1"});
  CHECK(positions.at(log_key({"a", "host-1"})) == log_position{7, 20});
  CHECK(positions.at(log_key({"a", "host-2"})) == log_position{7, 10});
}

TEST_CASE("what nothing is called is refused with what is near") {
  for (const auto* name : {"shp", "shop/wb", "", "shop.web-4", "other.shop"}) {
    const auto result = find_log_targets(shop(), request_of(name));
    REQUIRE(std::holds_alternative<problem_view>(result));
    CHECK(std::get<problem_view>(result).status == 404);
  }
  CHECK(std::get<problem_view>(find_log_targets(shop(), request_of("shp"))).fix == "did you mean `shop`?");
}

TEST_CASE("a request's parameters are read, and anything else is refused with what would be right") {
  const auto good = parse_logs_request({{"of", "shop/web"}, {"all-replicas", "true"}, {"all-hosts", "true"}, {"tail", "0"}, {"since", "10m"},
                                        {"wait", "5s"}, {"after", "a.b.c-1.2.3"}});
  REQUIRE(std::holds_alternative<logs_request>(good));
  const auto& request = std::get<logs_request>(good);
  CHECK(request.all_replicas);
  CHECK(request.all_hosts);
  CHECK(request.tail == 0);
  CHECK(request.since == 10min);
  CHECK(request.wait == 5s);
  CHECK(request.after.at(10) == log_position{11, 12});
  for (const net::http_parameters& bad :
       {net::http_parameters{}, {{"of", ""}}, {{"of", "x"}, {"tail", "-1"}}, {{"of", "x"}, {"tail", "4294967296"}},
        {{"of", "x"}, {"since", "yesterday"}}, {{"of", "x"}, {"wait", "5001ms"}}, {{"of", "x"}, {"after", "a.b"}},
        {{"of", "x"}, {"all-replicas", "yes"}}, {{"of", "x"}, {"all-hosts", "1"}}, {{"of", std::string(1025, 'x')}}})
    CHECK(std::holds_alternative<problem_view>(parse_logs_request(bad)));
}

TEST_CASE("a cursor is read as it was written, and one that was tampered with is none") {
  std::map<std::uint32_t, log_position> positions;
  for (std::uint32_t i = 0; i < max_log_targets; ++i)
    positions[i * 20'000'000 + 1] = {4'000'000'000u - i, std::int64_t{1} << i % 60};
  const auto text = cursor_text(positions);
  CHECK(parse_cursor(text) == positions);
  CHECK(text.size() < 7 * 1024); // of the 8 KiB that a server takes as a target
  CHECK(parse_cursor("") == std::map<std::uint32_t, log_position>{});
  for (const auto* bad : {"1", "1.2", "1.2.3.4", "x.2.3", "1.2.-3", "100000000.2.3", "1..3"})
    CHECK_FALSE(parse_cursor(bad));
  CHECK_FALSE(parse_cursor(text + "-1.2.3"));
}

TEST_CASE("a container with a position goes on from it, any other begins at tail and since") {
  auto request = request_of("shop");
  request.tail = 5;
  request.since = 10s;
  request.after[log_key({"a", "host-1"})] = {1, 2};
  const auto known = query_for({"a", "host-1", false}, request, 60'000);
  CHECK(known.has_position);
  CHECK(known.from == log_position{1, 2});
  const auto fresh = query_for({"b", "host-1", false}, request, 60'000);
  CHECK_FALSE(fresh.has_position);
  CHECK(fresh.tail == 5);
  CHECK(fresh.since_ms == 50'000);
  CHECK(query_for({"b", "host-1", false}, request_of("shop"), 60'000).since_ms == -1);
}

TEST_CASE("who follows an instance to another host reads what it prints there since then, and a log first read after a minute as asked") {
  auto request = request_of("shop");
  request.tail = 1;
  const log_target moved{"a", "host-2", false, 50'000};
  CHECK(query_for(moved, request, 60'000).tail == 1); // nothing was read before
  request.after[log_key({"a", "host-1"})] = {1, 2};
  const auto query = query_for(moved, request, 60'000);
  CHECK_FALSE(query.has_position);
  CHECK(query.tail == -1);
  CHECK(query.since_ms == 50'000);
  CHECK(has_moved(moved, request, 109'999));
  CHECK_FALSE(has_moved(moved, request, 110'000));
  CHECK(query_for(moved, request, 110'000).tail == 1);
  request.after[log_key(moved)] = {3, 4};
  CHECK(query_for(moved, request, 60'000).from == log_position{3, 4});
}

TEST_CASE("the lines of an instance that gave up are those of the host where it did so last") {
  auto state = shop();
  auto& x = state.assignments["default.shop.web-10"];
  x.generation = 3;
  x.avoided.resize(2);
  x.avoided[0].host = "host-2"; // it was avoided before, and again: its entry keeps its place
  x.avoided[0].generation = 3;
  x.avoided[1].host = "host-1";
  x.avoided[1].generation = 2;
  const auto result = find_log_targets(state, request_of("shop.web-10/front"));
  REQUIRE(std::get<log_targets>(result).targets.size() == 1);
  CHECK(std::get<log_targets>(result).targets[0].host == "host-2");
  CHECK(std::get<log_targets>(result).notes == texts{"default.shop.web-10 is on no host: no host has room. These lines are of host-2; "
                                                     "all-hosts shows those of its former hosts too"});
  x.avoided.clear();
  const auto evicted = find_log_targets(state, request_of("shop.web-10/front"));
  CHECK(std::get<log_targets>(evicted).targets.empty());
  CHECK(std::get<log_targets>(evicted).notes == texts{"default.shop.web-10 is on no host: no host has room; all-hosts shows what it printed where it was"});
}

TEST_CASE("lines of several logs are put in order of their times, and those of one log stay in theirs") {
  std::map<std::uint32_t, log_position> positions;
  const auto merged = merge_logs({log_of("a", {10, 30, 20, 40}), log_of("b", {15, 25, 35})}, positions);
  CHECK(lines_of(merged) == texts{"a10", "b15", "b25", "a30", "a20", "b35", "a40"});
  CHECK_FALSE(merged.has_more);
  CHECK(positions.at(log_key({"a", "host-1"})) == log_position{7, 40});
  CHECK(positions.at(log_key({"b", "host-1"})) == log_position{7, 30});
}

TEST_CASE("lines behind the end of a page that is not the last wait for its next one") {
  std::map<std::uint32_t, log_position> positions;
  auto merged = merge_logs({log_of("a", {10, 20}, true), log_of("b", {5, 20, 21, 30}), log_of("c", {50})}, positions);
  CHECK(lines_of(merged) == texts{"b5", "a10", "a20", "b20"});
  CHECK(merged.has_more);
  CHECK(positions.at(log_key({"a", "host-1"})) == log_position{7, 20});
  CHECK(positions.at(log_key({"b", "host-1"})) == log_position{7, 20});
  CHECK(positions.at(log_key({"c", "host-1"})) == log_position{7, 0}); // none of it yet
  merged = merge_logs({log_of("a", {}), log_of("c", {50})}, positions);
  CHECK(lines_of(merged) == texts{"c50"});
  CHECK_FALSE(merged.has_more);
}

TEST_CASE("a log is not cut in the middle of another stream's line") {
  std::map<std::uint32_t, log_position> positions;
  auto b = log_of("b", {5, 21, 30});
  b.page.entries[0].next = {};
  const auto merged = merge_logs({log_of("a", {10}, true), std::move(b)}, positions);
  CHECK(lines_of(merged) == texts{"b5", "a10", "b21"});
  CHECK(positions.at(log_key({"b", "host-1"})) == log_position{7, 20});
}

TEST_CASE("bytes that are not UTF-8 become replacement characters") {
  std::map<std::uint32_t, log_position> positions;
  auto log = log_of("a", {10});
  log.page.entries[0].text = "caf\xc3\xa9 \xff\xc3 x";
  CHECK(lines_of(merge_logs({std::move(log)}, positions)) == texts{"caf\xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd x"});
}
