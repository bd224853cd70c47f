#pragma once

// The secret that an agent's API asks for, and the command line shows. Loopback alone says nothing about who asks: a container
// with `network: host` is there too. What it cannot do is read this file, which is the agent's user's alone; so whoever may use
// the API is root, or that user.
//
// One for all agents that a user runs on this machine:
//   /run/prunella/api-token             of root
//   ~/.local/state/prunella/api-token   of another user, or as $XDG_STATE_HOME says; without a home /tmp/prunella-UID/api-token

#include <string>

namespace prunella::tools {

/// Where this user's is.
std::string api_token_path();

/// The one in `path`, made if there is none: 64 hexadecimal digits. Throws std::runtime_error with a sentence: it cannot be
/// made, or what is there belongs to somebody else, can be read by others, or is something else.
std::string make_api_token(const std::string& path);

/// For a client: $PRUNELLA_TOKEN, else what is in `path`; empty: none that could be read.
std::string find_api_token(const std::string& path);

} // namespace prunella::tools
