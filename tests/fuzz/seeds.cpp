// Writes the binary seeds of the fuzz targets: `fuzz_seeds FOLDER` makes FOLDER/TARGET/NAME. They are what this version
// sends and stores, so they follow it without files to keep.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/message.hpp>
#include <caf/sec.hpp>

#include "actors/host/composition.hpp"
#include "actors/host/exports.hpp"
#include "actors/site/site_command_bytes.hpp"
#include "actors/type_ids.hpp"
#include "net/link_codec.hpp"
#include "runtime/consensus/membership.hpp"
#include "storage/cereal_bytes.hpp"
#include "storage/commit_mark.hpp"
#include "storage/container_records.hpp"
#include "storage/data_dir.hpp"
#include "storage/raft_log_rows.hpp"
#include "tests/actors/site_fixture.hpp"
#include "tests/net/dns_client.hpp"

using namespace prunella;

namespace {

struct seed_folder {
  std::filesystem::path root;

  /// A seed of `target` whose first byte is `choice`.
  void write(const std::string& target, const std::string& name, std::uint8_t choice, const std::string& bytes) const {
    std::filesystem::create_directories(root / target);
    std::ofstream out(root / target / name, std::ios::binary | std::ios::trunc);
    out << static_cast<char>(choice) << bytes;
    if (!out.flush())
      throw std::runtime_error("cannot write " + (root / target / name).string());
  }
};

test::small_site busy_site() {
  test::small_site site({test::host("a", {{"zone", "front"}}), test::host("b")});
  auto web = test::service("web", 2);
  web.placement.match_host_labels = "zone = front or exists gpu";
  web.containers[0].ports = {{"http", 8080, config::port_protocol::tcp}};
  web.containers[0].env = {{"GREETING", "hello"}};
  site.run(actors::put_application{test::application("popcorn", {web})});
  site.settle();
  site.run(actors::set_host_state{"a", false, "no heartbeat for 500ms"});
  site.settle();
  return site;
}

// -- links ---------------------------------------------------------------------------------------------------------------

void frames(const seed_folder& out) {
  net::byte_buffer bytes;
  net::hello_frame hello;
  hello.incarnation = 1;
  hello.link = 2;
  hello.window_bytes = 1u << 20;
  hello.request_slots = 256;
  hello.max_frame = 1u << 20;
  hello.host = "host-1";
  net::append_hello(bytes, hello);
  net::append_ping(bytes, 7);
  net::append_pong(bytes, 7);
  net::append_credit(bytes, 4096);
  net::append_send(bytes, 1, "consensus", "payload");
  net::append_request(bytes, 1, 5, "site", "payload");
  net::append_response(bytes, 1, 5, "payload");
  net::append_failure(bytes, 1, 5, "failure");
  net::append_goodbye(bytes, net::goodbye_reason::stopping);
  out.write("link_frame", "all-kinds", 3, {bytes.begin(), bytes.end()});
}

void questions(const seed_folder& out) {
  out.write("names", "address", 0, tests::dns_question("web.shop", net::dns_type::a));
  out.write("names", "port", 1, tests::dns_question("_http._tcp.web.shop.acme", net::dns_type::srv, 1'232));
  out.write("names", "elsewhere", 0, tests::dns_question("example.com", net::dns_type::aaaa, 4'096));
}

runtime::raft_message append_message(const test::small_site& site) {
  runtime::raft_message m;
  m.type = runtime::raft_message_type::append;
  m.group = 1;
  m.from = 2;
  m.to = 1;
  m.term = m.log_term = 2;
  m.log_index = 3;
  m.entries.emplace_back(storage::log_entry{2, 4, storage::entry_kind::command,
                                            actors::encode(actors::site_command{site.now, actors::delete_application{"default.popcorn"}})});
  m.entries.emplace_back(storage::log_entry{2, 5, storage::entry_kind::membership,
                                            runtime::encode_membership({{1, 2, 3}, {4}})});
  return m;
}

actors::host_heartbeat heartbeat() {
  actors::host_heartbeat beat;
  beat.host = "host-1";
  beat.has_reports = true;
  beat.revision = 3;
  actors::instance_report report;
  report.instance = "default.popcorn.web-1";
  report.generation = 2;
  report.phase = actors::instance_phase::running;
  report.containers = {{"default.popcorn.web-1.main", "running", 100, 1, "exit 1"}};
  beat.reports = {report};
  beat.gone = {"default.popcorn.web-2"};
  return beat;
}

void messages(const seed_folder& out, const test::small_site& site) {
  caf::actor_system_config config;
  config.set("scheduler.max-threads", std::size_t{1});
  actors::announce(config);
  caf::actor_system system{config};
  const auto exports = actors::exports_of([](const std::string&) { return caf::actor{}; }, {});
  const auto write = [&](const std::string& actor, const std::string& name, const caf::message& content) {
    net::byte_buffer bytes;
    if (net::encode_message(system, content.content(), bytes))
      throw std::runtime_error("cannot encode " + name);
    const auto choice = std::distance(exports.begin(), exports.find(actor));
    out.write("link_message", name, static_cast<std::uint8_t>(choice), {bytes.begin(), bytes.end()});
  };
  write("consensus", "append", caf::make_message(append_message(site)));
  write("site", "heartbeat", caf::make_message(heartbeat()));
  write("site", "request", caf::make_message(actors::site_request{actors::encode(actors::site_command{1, actors::scale_service{"default.popcorn", "web", 3}})}));
  write("site", "view", caf::make_message(actors::view_request{"instances", "default.popcorn", "default.popcorn.web-1", 100}));
  write("journal", "events", caf::make_message(actors::events_request{"17-host-1-4", 100}));
  write("tree", "actors", caf::make_message(actors::actors_request{100}));
  write("tree", "kill", caf::make_message(actors::kill_request{"root/api"}));
  net::byte_buffer error;
  net::encode_error(caf::make_error(caf::sec::request_timeout, "no answer"), error);
  out.write("link_message", "error", static_cast<std::uint8_t>(exports.size()), {error.begin(), error.end()});
}

// -- what is stored ------------------------------------------------------------------------------------------------------

void stored(const seed_folder& out, const test::small_site& site) {
  const auto& state = site.state;
  const auto command = [&](const std::string& name, auto body) {
    out.write("stored_values", "command-" + name, 0, actors::encode(actors::site_command{site.now, std::move(body)}));
  };
  command("put", actors::put_application{state.applications.begin()->second.spec});
  command("scale", actors::scale_service{"default.popcorn", "web", 3});
  command("delete", actors::delete_application{"default.popcorn"});
  command("host", actors::set_host_state{"b", false, "lost"});
  command("change", site.plan().changes);
  out.write("stored_values", "state", 1, actors::encode(state));
  out.write("stored_values", "row-host", 2, actors::row_value(state, {"host", "a"}));
  out.write("stored_values", "row-application", 2, actors::row_value(state, {"application", "default.popcorn"}));
  out.write("stored_values", "row-assignment", 2, actors::row_value(state, {"assignment", "default.popcorn.web-1"}));
  out.write("stored_values", "head", 3, storage::to_bytes(storage::raft_log_head{}));
  out.write("stored_values", "container", 4, storage::to_bytes(storage::container_record{}));
  out.write("stored_values", "snapshot", 5, storage::to_bytes(storage::raft_snapshot{3, 2, {{1, 2, 3}, {4}}, "state"}));
  out.write("stored_values", "outcome", 6, actors::encode(actors::command_outcome{}));
  out.write("stored_values", "mark", 7, storage::encode_mark({5, 6}));
  out.write("stored_values", "identity", 7, storage::identity_text({"shop", "host-1"}));
  out.write("stored_values", "members", 7, runtime::encode_membership({{1, 2, 3}, {4}}));
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 2)
    return std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n"), 2;
  const seed_folder out{argv[1]};
  const auto site = busy_site();
  frames(out);
  questions(out);
  messages(out, site);
  stored(out, site);
  return 0;
}
