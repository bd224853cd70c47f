#pragma once

// What other hosts may send to this one: to which actors, which types of messages, and who may say what.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <caf/actor.hpp>

#include "actors/site/membership.hpp"
#include "net/links.hpp"

namespace prunella::actors {

/// By the name that other hosts use; `local` finds the actor of a name, now, from any thread. `hosts`: who may speak as which
/// member.
std::map<std::string, net::link_export> exports_of(const std::function<caf::actor(const std::string& name)>& local,
                                                   const hosts_by_member& hosts);

/// Names of the types that other hosts may answer with.
std::vector<std::string> answer_types();

} // namespace prunella::actors
