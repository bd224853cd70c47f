#pragma once

// The bridge behind this host: the device that instances with `network: bridge` are on, with the host's part of the site's
// range. The host itself has the gateway's address on it, and answers on each address of the services' half. It is ours by
// its alias, which names the data directory: a device of that name that others made is never touched. Needs root.

#include <mutex>
#include <string>

#include "config/networks.hpp"

namespace prunella::actors {

struct host_bridge_options {
  config::host_network network;
  bool outbound = true;       ///< instances reach what the host reaches
  std::string data_directory; ///< absolute; one agent's at a time
};

/// All functions may be called by any thread.
class host_bridge {
public:
  explicit host_bridge(host_bridge_options options);

  /// Makes what of it is missing. A sentence about what is in the way, with a next step; empty: it is there.
  std::string ensure();

  /// Removes the bridge, if it is ours. What is on it loses its connection.
  void remove();

  /// Whether the last `ensure` made it, and nothing removed it since.
  bool is_up() const;

  const config::host_network& network() const { return options_.network; }
  bool has_outbound() const { return options_.outbound; }
  const std::string& name() const { return name_; } ///< of the device; at most 15 bytes
  std::string gateway() const { return config::ipv4_text(options_.network.gateway); }

private:
  std::string make() const;

  const host_bridge_options options_;
  const std::string name_;
  const std::string alias_;
  mutable std::mutex mutex_;
  bool is_up_ = false;
};

} // namespace prunella::actors
