#pragma once

#include <cstddef>

namespace prunella::bench {

/// The least that Beast can be: one thread, keep-alive, every request answered with the same body of `body_bytes`; no
/// limits, no timeouts, no routes, no checks. What the agent's API is measured beside. Prints its port, never returns.
[[noreturn]] void serve_bare_http(std::size_t body_bytes);

} // namespace prunella::bench
