#pragma once

// From the text of a config file, or the body of a request, to checked values.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.hpp"
#include "config/spec.hpp"

namespace prunella::config {

enum class document_kind : std::uint8_t { site, application };

template <>
struct enum_texts<document_kind> {
  static constexpr std::array<std::string_view, 2> value{"site", "application"};
};

/// One document of a file: `kind` says which of the two specs it is.
struct document {
  document_kind kind = document_kind::application;
  site_spec site;
  application_spec application;
  position_map positions; ///< of every value that was written
};

struct read_result {
  std::vector<document> documents; ///< those without a problem, in the order of the file
  std::vector<problem> problems;   ///< all of the file, by position, at most `limits::problems`; empty: all is well
};

/// Reads YAML, or JSON as `to_json` makes it, and validates it (`validate.hpp`). `file_name` only appears in problems.
/// Keys may be written with `-` or `_`; each document names its `kind`, except that a file of one document may leave it
/// out when `default_kind` is given (bodies of requests). Never throws; takes at most time linear in `text`, limits in
/// `limits.hpp`.
read_result read_documents(std::string_view text, const std::string& file_name);
read_result read_documents(std::string_view text, const std::string& file_name, document_kind default_kind);

} // namespace prunella::config
