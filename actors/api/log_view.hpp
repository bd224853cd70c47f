#pragma once

// `GET /v1/logs`; see `views.hpp`.

#include <string>
#include <vector>

#include "config/fields.hpp"

namespace prunella::actors {

struct log_line_view {
  std::string at;        ///< RFC 3339 in UTC with milliseconds
  std::string container; ///< tenant.application.service-N.container
  std::string stream;    ///< stdout | stderr
  std::string text;      ///< U+FFFD for bytes that are not UTF-8
  bool partial = false;  ///< the line goes on in the next one of its stream
  std::string host{};    ///< that keeps it, where all hosts were asked; else empty

  PRUNELLA_FIELDS(log_line_view, at, container, stream, text, partial, host)
};

struct logs_view {
  std::vector<log_line_view> lines; ///< by time
  std::vector<std::string> containers; ///< whose logs these are; where all hosts were asked, CONTAINER@HOST
  std::string next;                 ///< cursor: `after` of the next request
  bool more = false;                ///< there is more at once
  std::vector<std::string> notes;   ///< sentences: which host does not answer, which lines are gone
  std::vector<std::string> unread{}; ///< hosts that could not be asked for what they keep; a note says why

  PRUNELLA_FIELDS(logs_view, lines, containers, next, more, notes, unread)
};

} // namespace prunella::actors
