// The small texts that people and hosts write: amounts, durations, times, addresses, label expressions, names, and what
// /proc says of processes that name themselves.

#include <string>

#include "actors/host/journal_actor.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "actors/names.hpp"
#include "actors/site/requests.hpp"
#include "config/address.hpp"
#include "config/did_you_mean.hpp"
#include "config/label_expression.hpp"
#include "config/quantity.hpp"
#include "config/time.hpp"
#include "config/validate.hpp"
#include "net/http_client.hpp"
#include "net/http_guard.hpp"
#include "net/http_router.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace prunella;
using fuzz::require;

namespace {

void amounts(std::string_view text) {
  if (const auto millis = config::parse_cpu(text))
    require(config::parse_cpu(config::cpu_text(*millis)) == millis, "an amount of CPU reads back");
  if (const auto bytes = config::parse_memory(text))
    require(config::parse_memory(config::memory_text(*bytes)) == bytes, "an amount of memory reads back");
}

void times(std::string_view text) {
  if (const auto duration = config::parse_duration(text))
    require(config::parse_duration(config::duration_text(*duration)) == duration, "a duration reads back");
  if (const auto time = config::parse_time(text))
    require(config::parse_time(config::time_text(*time)) == time, "a time reads back");
}

void addresses(std::string_view text) {
  if (const auto address = config::parse_address(text))
    require(config::parse_address(config::address_text(*address)) == address, "an address reads back");
  if (const auto host = net::host_of_authority(text))
    (void)net::is_local_host_name(*host, {});
  (void)net::split_endpoints(text);
  try {
    (void)net::parse_loopback_address(std::string(text));
  } catch (const std::runtime_error&) { // the documented refusal; anything else ends the process
  }
}

void expressions(std::string_view text) {
  const auto parsed = config::parse_label_expression(text);
  require(parsed.error.empty() == (parsed.column == 0), "an error has a column");
  require(parsed.column <= text.size() + 1, "the column of an error lies in the text");
  (void)parsed.expression.matches({});
  (void)parsed.expression.matches({{"zone", "front"}, {"disk", "ssd"}, {"gpu", ""}});
}

void names(std::string_view text) {
  const auto parts = actors::parse_instance_name(text);
  if (parts.replica != 0)
    require(actors::instance_name(parts.tenant, parts.application, parts.service, parts.replica) == text,
            "an instance name that was taken apart is put together again");
  (void)actors::application_key_of(std::string(text));
  storage::journal_position position;
  (void)actors::parse_event_id(std::string(text), position);
  (void)config::did_you_mean(text, {"applications", "events", "hosts", "instances"});
  (void)config::is_label_key(text);
  (void)config::is_label_value(text);
  (void)config::is_version(text);
}

void processes(std::string_view text) {
  (void)actors::parse_proc_stat(text);
  (void)actors::parse_mark(text);
}

void targets(std::string_view text) {
  if (const auto decoded = net::percent_decode(text))
    require(net::percent_decode(net::percent_encode(*decoded)) == decoded, "an encoded text decodes to itself");
  (void)net::parse_query(text);
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = fuzz::text_of(data, size);
  amounts(text);
  times(text);
  addresses(text);
  expressions(text);
  names(text);
  processes(text);
  targets(text);
  return 0;
}
