#pragma once

// Ports of probes that are named as the container's `ports` name them. Private to config.

#include "config/yaml/tree.hpp"

namespace prunella::config::yaml {

/// In every map with `ports` and `probes` replaces `port: NAME` of a probe's `http` or `tcp` by the number of the port of that
/// name. What names none stays, and is no number to who reads it.
void number_probe_ports(node& root);

} // namespace prunella::config::yaml
