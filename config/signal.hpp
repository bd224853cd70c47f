#pragma once

// Signals by name, as people write them and read them.

#include <optional>
#include <string>
#include <string_view>

namespace prunella::config {

/// How a signal may be written, for error texts.
inline constexpr std::string_view signal_form = "a signal such as SIGINT, INT or 2";

/// The number of `SIGINT`, `INT` or `2`, 1 … 64; nothing for another text.
std::optional<int> parse_signal(std::string_view text);

/// The signal that asks a container to end: that of its spec, else that of its image, else SIGTERM; empty: not said. Also SIGTERM
/// where what was said is no signal, so that there always is one.
int stop_signal(std::string_view of_spec, std::string_view of_image = {});

/// The signal's name, `SIGKILL` for 9; `signal 64` for one without a name.
std::string signal_name(int number);

} // namespace prunella::config
