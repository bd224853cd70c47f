#include "actors/instance/network/cni.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "config/json.hpp"
#include "storage/images/child_process.hpp"

namespace prunella::actors {

namespace json = boost::json;

namespace {

constexpr std::size_t max_answer = 64 * 1024;
constexpr std::size_t shown_words = 500;

driver_failure failed(const std::string& why) {
  return {driver_errc::network_failed, why};
}

std::string text_in(const json::object& object, const char* key) {
  const auto* found = object.if_contains(key);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string{};
}

} // namespace

std::string cni_configuration(const host_bridge& bridge, const std::string& leases) {
  const auto& network = bridge.network();
  const json::object range{{"subnet", network_text(network.network)},
                           {"rangeStart", config::ipv4_text(network.first_instance)},
                           {"rangeEnd", config::ipv4_text(network.last_instance)},
                           {"gateway", bridge.gateway()}};
  json::array ranges; // a list of lists; in braces, compilers disagree on whether the inner one is copied or nested (CWG 2137)
  ranges.emplace_back(json::array{range});
  const json::object addresses{{"type", "host-local"}, {"dataDir", leases}, {"ranges", std::move(ranges)}};
  const json::object configuration{{"cniVersion", "1.0.0"},
                                   {"name", bridge.name()},
                                   {"type", "bridge"},
                                   {"bridge", bridge.name()},
                                   // With a way out the host forwards, and puts its own address in front: nobody else
                                   // knows a route to the bridge.
                                   {"isGateway", bridge.has_outbound()},
                                   {"isDefaultGateway", bridge.has_outbound()},
                                   {"ipMasq", bridge.has_outbound()},
                                   {"hairpinMode", true},
                                   {"ipam", addresses}};
  return config::json_text(configuration);
}

driver_result<std::string> parse_cni_address(std::string_view answer) {
  const auto parsed = config::parse_json(answer);
  const auto refuse = [&] { return failed("the CNI plugin gave an answer without an address: " + std::string{answer.substr(0, shown_words)}); };
  if (!parsed.value.is_object())
    return refuse();
  const auto* addresses = parsed.value.get_object().if_contains("ips");
  if (addresses == nullptr || !addresses->is_array() || addresses->get_array().empty()
      || !addresses->get_array()[0].is_object())
    return refuse();
  const auto text = text_in(addresses->get_array()[0].get_object(), "address");
  const auto address = text.substr(0, text.find('/'));
  if (!config::parse_ipv4(address))
    return refuse();
  return address;
}

std::string explain_cni(std::string_view answer, std::string_view errors) {
  const auto parsed = config::parse_json(answer);
  std::string words;
  if (parsed.value.is_object()) {
    words = text_in(parsed.value.get_object(), "msg");
    if (const auto details = text_in(parsed.value.get_object(), "details"); !details.empty())
      words += (words.empty() ? "" : ": ") + details;
  }
  if (words.empty())
    words = std::string{errors.empty() ? answer : errors};
  std::replace(words.begin(), words.end(), '\n', ' ');
  return words.empty() ? "it gave no reason" : words.substr(0, shown_words);
}

driver_result<std::string> run_cni(const cni_call& call, std::chrono::milliseconds patience) {
  storage::child_order order;
  order.command = {call.folder + "/bridge"};
  order.input = call.configuration;
  order.environment = {"CNI_COMMAND=" + call.command,  "CNI_CONTAINERID=" + call.id,
                       "CNI_NETNS=" + call.network_namespace, "CNI_IFNAME=" + std::string{cni_device},
                       "CNI_PATH=" + call.folder,      "PATH=" + std::string{default_path}};
  order.max_output = max_answer;
  order.go_on = [patience](std::chrono::milliseconds passed) { return passed < patience; };
  const auto end = storage::run_child(order);
  if (!end.ok())
    return failed(end.error().message);
  if (end->ended_by_us)
    return failed("the CNI plugin bridge did not answer within " + std::to_string(patience.count()) + " ms");
  if (!end->succeeded())
    return failed("the CNI plugin bridge refused " + call.command + " for " + call.id + ": " + explain_cni(end->output, end->errors));
  return end->output;
}

std::string missing_for_cni(const std::string& folder, bool outbound) {
  for (const auto* plugin : {"bridge", "host-local"})
    if (::access((folder + '/' + plugin).c_str(), X_OK) != 0)
      return "the CNI plugin " + folder + '/' + plugin + " is not on this host; install Debian's package containernetworking-plugins";
  if (outbound && std::holds_alternative<driver_failure>(resolve_command("iptables", default_path, "/")))
    return "iptables is not on this host, which a network with a way out needs; install Debian's package iptables, or write "
           "`networks: {outbound: false}` into the site's document";
  return {};
}

} // namespace prunella::actors
