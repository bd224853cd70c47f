// What the names in a layer mean; the pure part of unpack.hpp.

#include "storage/images/unpack.hpp"

namespace prunella::storage {

namespace {

constexpr std::size_t max_path = 4095; // PATH_MAX without its NUL
constexpr std::size_t max_part = 255;  // NAME_MAX
constexpr std::size_t shown_text = 200;
constexpr std::string_view whiteout_prefix = ".wh.";
constexpr std::string_view opaque_name = ".wh..wh..opq";

/// Joins the parts of `name` into `path`; "" or why not.
std::string clean(std::string_view name, std::string& path) {
  if (name.empty())
    return "it is empty";
  if (name.front() == '/')
    return "it is absolute";
  if (name.size() > max_path)
    return "it has " + std::to_string(name.size()) + " characters";
  if (name.find('\0') != std::string_view::npos)
    return "it has a NUL character";
  while (!name.empty()) {
    const auto slash = name.find('/');
    const auto part = name.substr(0, slash);
    name.remove_prefix(slash == std::string_view::npos ? name.size() : slash + 1);
    if (part.empty() || part == ".")
      continue;
    if (part == "..")
      return "it climbs with '..'";
    if (part.size() > max_part)
      return "a part of it has " + std::to_string(part.size()) + " characters";
    path += (path.empty() ? "" : "/") + std::string(part);
  }
  return {};
}

} // namespace

result<layer_entry> read_entry_name(std::string_view name) {
  layer_entry entry;
  auto problem = clean(name, entry.path);
  const auto slash = entry.path.rfind('/');
  const auto folder = slash == std::string::npos ? std::string{} : entry.path.substr(0, slash);
  const auto last = slash == std::string::npos ? entry.path : entry.path.substr(slash + 1);
  if (problem.empty() && last.compare(0, whiteout_prefix.size(), whiteout_prefix) == 0) {
    const auto hidden = last.substr(whiteout_prefix.size());
    if (last == opaque_name) {
      entry.what = layer_entry::kind::opaque;
      entry.path = folder;
    } else if (hidden.compare(0, whiteout_prefix.size(), whiteout_prefix) == 0) {
      entry.what = layer_entry::kind::ignored;
    } else if (hidden.empty() || hidden == "." || hidden == "..") {
      problem = "it hides no file";
    } else {
      entry.what = layer_entry::kind::whiteout;
      entry.path = (folder.empty() ? "" : folder + "/") + hidden;
    }
  }
  if (!problem.empty())
    return storage_error{storage_errc::refused,
                         "the layer is refused: the name '" + std::string(name.substr(0, shown_text)) +
                             "' in it is not safe: " + problem + "; build the image again with a trusted builder"};
  return entry;
}

} // namespace prunella::storage
