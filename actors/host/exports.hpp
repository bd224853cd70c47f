#pragma once

// What other hosts may send to this one: to which actors, which types of messages, and who may say what.

#include <functional>
#include <map>
#include <string>

#include <caf/actor.hpp>

#include "net/links.hpp"

namespace prunella::actors {

/// By the name that other hosts use; `local` finds the actor of a name, now, from any thread.
std::map<std::string, net::link_export> exports_of(const std::function<caf::actor(const std::string& name)>& local);

} // namespace prunella::actors
