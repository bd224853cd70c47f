#pragma once

#include "actors/host/log_sink.hpp"

namespace prunella::tools {

/// Lines on standard error: time, level, `host`, text.
actors::log_sink log_to_stderr(const std::string& host);

} // namespace prunella::tools
