#include "runtime/first_cause.hpp"

#include <algorithm>

#include "runtime/supervision_error.hpp"

namespace prunella::runtime {

std::string first_cause(const std::string& reason) {
  const auto start_failed = std::string{sentence(supervision_errc::start_failed)} + ": ";
  std::size_t start = 0;
  for (const std::string_view mark : {ended_before_ready, start_threw, std::string_view{start_failed}})
    if (const auto found = reason.rfind(mark); found != std::string::npos)
      start = std::max(start, found + mark.size());
  // Behind these stands whose it is: `…; the last was of child 'log': `, `a child could not be started: child 'core': `.
  for (const auto& mark : {std::string{last_restart}, start_failed + "child '"}) {
    constexpr std::string_view name_end = "': ";
    const auto found = reason.rfind(mark);
    const auto end = found == std::string::npos ? found : reason.find(name_end, found);
    if (end != std::string::npos)
      start = std::max(start, end + name_end.size());
  }
  return reason.substr(start);
}

} // namespace prunella::runtime
