#include "storage/images/image_name.hpp"

#include <filesystem>
#include <set>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "config/json.hpp"
#include "storage/images/documents.hpp"
#include "storage/images/tar_stream.hpp"
#include "storage/os_files.hpp"

namespace prunella::storage {

namespace {

constexpr int max_archive_entries = 10'000;

using names = std::set<std::string>;

/// A tag alone names no image.
bool is_full_name(const std::string& text) {
  return text.find_first_of("/:") != std::string::npos;
}

void add_layout_names(const std::string& index_json, names& found) {
  if (const auto index = read_index(index_json))
    for (const auto& entry : index->entries)
      if (is_full_name(entry.name))
        found.insert(entry.name);
}

/// `[{"RepoTags": ["shop/web:1"], …}]`
void add_docker_names(const std::string& manifest_json, names& found) {
  const auto parsed = config::parse_json(manifest_json);
  if (!parsed.value.is_array())
    return;
  for (const auto& image : parsed.value.get_array()) {
    const auto* members = image.if_object();
    const auto* tags = members == nullptr ? nullptr : members->if_contains("RepoTags");
    if (tags == nullptr || !tags->is_array())
      continue;
    for (const auto& tag : tags->get_array())
      if (tag.is_string())
        found.insert(std::string(tag.get_string().data(), tag.get_string().size()));
  }
}

result<names> names_in_archive(const std::string& path) {
  auto tar = tar_stream::open_archive(path);
  if (!tar)
    return tar.error();
  names found;
  bool is_image = false;
  const auto seen = (*tar)->each_file(max_archive_entries, [&](const std::string& file) {
    if (file == "index.json")
      add_layout_names((*tar)->read_entry(max_document_bytes), found);
    if (file == "manifest.json")
      add_docker_names((*tar)->read_entry(max_document_bytes), found);
    is_image = is_image || file == "oci-layout" || file == "manifest.json";
    return true;
  });
  if (!seen)
    return seen.error();
  if (!is_image)
    return no_image_in(path);
  return found;
}

result<names> names_in_folder(const std::string& path) {
  names found;
  auto index = read_small_file(path + "/index.json", max_document_bytes);
  if (!index)
    return storage_error{storage_errc::malformed, path + " is no OCI layout: it has no readable `index.json`; give the folder "
                                                         "that `skopeo copy … oci:FOLDER` made"};
  add_layout_names(*index, found);
  return found;
}

} // namespace

storage_error no_image_in(const std::string& path) {
  std::error_code error;
  const bool is_empty = std::filesystem::file_size(path, error) == 0 && !error;
  return {storage_errc::malformed,
          "the file " + path + (is_empty ? " is empty" : " holds no image: it has neither `oci-layout` nor `manifest.json` in it")
            + "; make it with `docker save`, `podman save` or `skopeo copy`"};
}

result<std::string> name_in(const std::string& path) {
  std::error_code error;
  auto found = std::filesystem::is_directory(path, error) ? names_in_folder(path) : names_in_archive(path);
  if (!found)
    return found.error();
  if (found->size() == 1)
    return *found->begin();
  std::string list;
  for (const auto& name : *found)
    list += (list.empty() ? "" : ", ") + name;
  return storage_error{storage_errc::invalid_argument,
                       path + (found->empty() ? " does not say what its image is called" : " holds several images: " + list)
                           + "; say which name it is to have with --name, as in --name registry.example/shop/web:1.2"};
}

} // namespace prunella::storage
