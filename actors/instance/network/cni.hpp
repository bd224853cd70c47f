#pragma once

// The CNI plugins that put an instance on the host's bridge (CNI specification 1.0.0): `bridge`, with `host-local` for
// addresses. `loopback` is not needed, as our namespaces come with that device up, and neither is `portmap`: published
// ports are the front door's. Pure, but for `run_cni`.

#include <chrono>
#include <string>
#include <string_view>

#include "actors/instance/driver.hpp"
#include "actors/instance/network/host_bridge.hpp"
#include "actors/instance/process.hpp"

namespace prunella::actors {

/// Where Debian's package containernetworking-plugins has them.
inline constexpr std::string_view default_cni_folder = "/usr/lib/cni";

/// What an instance's device on the bridge is called in its namespace.
inline constexpr std::string_view cni_device = "eth0";

/// The configuration that both plugins read, as JSON. `leases`: the folder where host-local keeps what it gave away.
std::string cni_configuration(const host_bridge& bridge, const std::string& leases);

/// The instance's numeric address in what the plugin answered to ADD. Error: network_failed.
driver_result<std::string> parse_cni_address(std::string_view answer);

/// Why the plugin failed, in its own words: its answer is a JSON object with `msg` and `details`, or what it wrote to
/// standard error.
std::string explain_cni(std::string_view answer, std::string_view errors);

struct cni_call {
  std::string folder = std::string{default_cni_folder}; ///< of the plugins
  std::string configuration;                            ///< path of its file
  std::string command;                                  ///< ADD or DEL
  std::string id;                                       ///< names the attachment: the instance
  std::string network_namespace;                        ///< path; empty, for DEL only: there is none any more
};

/// Runs the plugin and gives its answer. Errors: network_failed with the reason and a next step.
driver_result<std::string> run_cni(const cni_call& call, std::chrono::milliseconds patience);

/// What is missing on this host, as a sentence; empty: nothing.
std::string missing_for_cni(const std::string& folder, bool outbound);

} // namespace prunella::actors
