#include "tools/agent/agent_log.hpp"

#include <memory>

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace prunella::tools {

actors::log_sink log_to_stderr(const std::string& host) {
  auto logger = std::make_shared<spdlog::logger>(host, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %n: %v");
  return [logger](actors::log_level level, const std::string& line) {
    constexpr spdlog::level::level_enum levels[] = {spdlog::level::info, spdlog::level::warn, spdlog::level::err};
    logger->log(levels[static_cast<std::size_t>(level)], line);
  };
}

} // namespace prunella::tools
