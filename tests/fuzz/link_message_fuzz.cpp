// Messages of other hosts: what comes for a name that this host exports, with the types that it takes there, and errors.
//   first byte: for which name; the rest: the payload of a frame

#include <algorithm>
#include <iterator>
#include <map>
#include <string>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/atom.hpp>
#include <caf/error.hpp>
#include <caf/message.hpp>

#include "actors/host/composition.hpp"
#include "actors/host/exports.hpp"
#include "actors/host/journal_actor.hpp"
#include "actors/site/observations.hpp"
#include "actors/type_ids.hpp"
#include "net/link_codec.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace prunella;
using fuzz::require;

namespace {

/// Only looked at for its announced types; no thread, and never destroyed: libFuzzer ends with `exit`, in the middle of it.
struct types {
  struct with_types : caf::actor_system_config {
    with_types() {
      set("scheduler.policy", caf::atom("testing"));
      actors::announce(*this);
    }
  } config;
  caf::actor_system system{config};
  std::map<std::string, net::link_export> exports =
      actors::exports_of([](const std::string&) { return caf::actor{}; }, {});
};

types& all() {
  static auto* const one = new types;
  return *one;
}

std::string encode(const caf::message& content) {
  net::byte_buffer out;
  require(!net::encode_message(all().system, content.content(), out), "a message that came can be sent");
  return {out.begin(), out.end()};
}

void check_message(std::string_view payload, const net::link_export& entrance) {
  const auto allowed = [&](std::string_view name) {
    return std::find(entrance.types.begin(), entrance.types.end(), name) != entrance.types.end();
  };
  caf::message content;
  if (net::decode_message(all().system, payload, allowed, content))
    return;
  const auto written = encode(content);
  caf::message again;
  require(!net::decode_message(all().system, written, allowed, again), "a message that is written can be read");
  require(encode(again) == written, "a message that is written and read is the same");
  if (entrance.may_say)
    (void)entrance.may_say("host-1", content);
  if (content.match_elements<actors::host_heartbeat>()) {
    actors::observations seen;
    (void)seen.take(content.get_as<actors::host_heartbeat>(0), {});
    (void)seen.gave_up();
    (void)seen.ended();
  }
}

void check_error(std::string_view payload) {
  const auto error = net::decode_error(payload);
  require(static_cast<bool>(error), "an error that came is an error");
  net::byte_buffer out;
  net::encode_error(error, out);
  require(net::decode_error({out.data(), out.size()}) == error, "an error that is written and read is the same");
  (void)all().system.render(error);
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto payload = fuzz::text_of(data, size);
  const auto& exports = all().exports;
  const auto choice = fuzz::take_byte(payload) % (exports.size() + 1);
  if (choice == exports.size())
    check_error(payload);
  else
    check_message(payload, std::next(exports.begin(), static_cast<std::ptrdiff_t>(choice))->second);
  return 0;
}
