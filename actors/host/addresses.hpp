#pragma once

#include <string>

namespace prunella::actors {

/// `address` (ADDRESS:PORT of a site document) with its host name looked up: a host listens on a number. Blocks for as long
/// as the system's resolver does; for the start of an agent. Throws std::runtime_error with a sentence.
std::string numeric_address(const std::string& address);

} // namespace prunella::actors
