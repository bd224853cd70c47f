#pragma once

// How lines of logs look. Pure.

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "actors/api/log_view.hpp"

namespace prunella::tools {

/// Puts whose line it is in front of each, aligned: nothing where the log is one container's, the instance where each
/// instance has one container, else INSTANCE/CONTAINER; behind it the @HOST where several were asked; without the tenant
/// `default`.
class log_printer {
public:
  log_printer(bool with_times, bool colours) : with_times_(with_times), colours_(colours) {}

  /// Lines are of these from now on.
  void set_containers(const std::vector<std::string>& containers);

  /// With its newline, and without control characters: of escape sequences only colours are left, where there are any.
  std::string text_of(const actors::log_line_view& line) const;

private:
  bool with_times_ = false;
  bool colours_ = false;
  std::map<std::string, std::string> labels_; ///< by log, padded
};

} // namespace prunella::tools
