#include "tools/agent/site_file.hpp"

#include <ostream>

#include "config/limits.hpp"
#include "config/reader.hpp"
#include "config/text_file.hpp"

namespace prunella::tools {

std::optional<config::site_spec> read_site_file(const std::string& path, std::ostream& err) {
  const auto file = config::read_text_file(path, {config::limits::file_bytes});
  if (!file.error.empty()) {
    err << "prunella: " << (path.empty() ? "``" : path) << ": " << file.error
        << ". The site file holds a `kind: site` document.\n";
    return std::nullopt;
  }
  const auto read = config::read_documents(file.text, path);
  for (const auto& problem : read.problems)
    err << config::problem_text(problem) << '\n';
  if (!read.problems.empty())
    return std::nullopt;
  std::optional<config::site_spec> site;
  for (const auto& document : read.documents) {
    if (document.kind != config::document_kind::site)
      continue;
    if (site) {
      err << "prunella: " << path << " holds two sites, " << site->name << " and " << document.site.name
          << ". An agent belongs to one: put each into a file of its own.\n";
      return std::nullopt;
    }
    site = document.site;
  }
  if (!site)
    err << "prunella: " << path << " holds no `kind: site` document. config/examples/shop.yaml shows one.\n";
  return site;
}

} // namespace prunella::tools
