#include "storage/images/documents.hpp"

#include <optional>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "config/json.hpp"

namespace prunella::storage {

namespace json = boost::json;

namespace {

constexpr std::size_t max_list = 4096;
constexpr std::size_t max_text = 128 * 1024;

constexpr std::string_view oci_index = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view oci_manifest = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view oci_config = "application/vnd.oci.image.config.v1+json";
constexpr std::string_view docker_index = "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr std::string_view docker_manifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr std::string_view docker_config = "application/vnd.docker.container.image.v1+json";
constexpr std::string_view oci_layer = "application/vnd.oci.image.layer.v1.tar";
constexpr std::string_view docker_layer = "application/vnd.docker.image.rootfs.diff.tar";

/// Thrown within this file only: a document is read in one go, and the first thing wrong ends it.
struct unreadable {
  storage_error error;
};

[[noreturn]] void reject(storage_errc code, std::string message) {
  throw unreadable{{code, std::move(message)}};
}

/// A value with its path, for errors: `layers[2].digest`.
class node {
public:
  node(std::string_view document, const json::value& value, std::string path)
      : document_(document), value_(&value), path_(std::move(path)) {}

  [[noreturn]] void wrong(std::string_view expected) const {
    reject(storage_errc::malformed, std::string(document_) + " is not valid: " + (path_.empty() ? "it" : path_) +
                                        " must be " + std::string(expected) + ", and is " + config::describe(*value_) +
                                        "; push or export the image again");
  }

  const json::object& object() const {
    if (!value_->is_object())
      wrong("an object");
    return value_->get_object();
  }

  /// Absent and null are the same: Go writes null for an empty list.
  std::optional<node> find(std::string_view name) const {
    const auto* found = object().if_contains({name.data(), name.size()});
    if (found == nullptr || found->is_null())
      return std::nullopt;
    return node(document_, *found, (path_.empty() ? "" : path_ + ".") + std::string(name));
  }

  node at(std::string_view name) const {
    auto found = find(name);
    if (!found)
      reject(storage_errc::malformed, std::string(document_) + " is not valid: " + (path_.empty() ? "" : path_ + ".") +
                                          std::string(name) + " is missing; push or export the image again");
    return *found;
  }

  std::string text() const {
    if (!value_->is_string())
      wrong("a text");
    const auto& found = value_->get_string();
    if (found.size() > max_text)
      bound("characters", max_text, found.size());
    if (std::string_view(found.data(), found.size()).find('\0') != std::string_view::npos)
      wrong("a text without NUL characters");
    return {found.data(), found.size()};
  }

  std::string text_or_empty(std::string_view name) const {
    const auto found = find(name);
    return found ? found->text() : std::string{};
  }

  std::uint64_t size(std::uint64_t most) const {
    std::uint64_t number = 0;
    if (value_->is_uint64())
      number = value_->get_uint64();
    else if (value_->is_int64() && value_->get_int64() >= 0)
      number = static_cast<std::uint64_t>(value_->get_int64());
    else
      wrong("a size in bytes");
    if (number > most)
      bound("bytes", most, number);
    return number;
  }

  storage::digest digest() const {
    auto parsed = parse_digest(text());
    if (!parsed)
      reject(parsed.error().code, std::string(document_) + ", " + path_ + ": " + parsed.error().message);
    return std::move(*parsed);
  }

  std::vector<node> list(std::size_t most = max_list) const {
    if (!value_->is_array())
      wrong("a list");
    const auto& found = value_->get_array();
    if (found.size() > most)
      bound("entries", most, found.size());
    std::vector<node> nodes;
    nodes.reserve(found.size());
    for (const auto& element : found)
      nodes.emplace_back(document_, element, path_ + "[" + std::to_string(nodes.size()) + "]");
    return nodes;
  }

  std::vector<std::string> texts(std::string_view name) const {
    std::vector<std::string> found;
    if (const auto here = find(name))
      for (const auto& element : here->list())
        found.push_back(element.text());
    return found;
  }

  /// The member names of an object whose values say nothing (`{"80/tcp": {}}`).
  std::vector<std::string> keys(std::string_view name) const {
    std::vector<std::string> found;
    if (const auto here = find(name)) {
      here->bound_members();
      for (const auto& member : here->object())
        found.emplace_back(member.key().data(), member.key().size());
    }
    return found;
  }

  std::map<std::string, std::string> text_map(std::string_view name) const {
    std::map<std::string, std::string> found;
    if (const auto here = find(name)) {
      here->bound_members();
      for (const auto& member : here->object()) {
        const std::string key(member.key().data(), member.key().size());
        found[key] = here->at(key).text();
      }
    }
    return found;
  }

private:
  [[noreturn]] void bound(std::string_view unit, std::uint64_t most, std::uint64_t found) const {
    reject(storage_errc::refused, std::string(document_) + " is refused: " + path_ + " has or says " +
                                      std::to_string(found) + " " + std::string(unit) + ", at most " +
                                      std::to_string(most) + " are allowed");
  }
  void bound_members() const {
    if (object().size() > max_list)
      bound("members", max_list, object().size());
  }

  std::string_view document_;
  const json::value* value_;
  std::string path_;
};

json::value parse(std::string_view document, std::string_view bytes) {
  if (bytes.size() > max_document_bytes)
    reject(storage_errc::refused, std::string(document) + " is refused: it has " + std::to_string(bytes.size()) +
                                      " bytes, at most " + std::to_string(max_document_bytes) + " are allowed");
  auto parsed = config::parse_json(bytes);
  if (!parsed.error.empty())
    reject(storage_errc::malformed,
           std::string(document) + " is not JSON: " + parsed.error + "; push or export the image again");
  return std::move(parsed.value);
}

/// Runs `read` and turns what it rejects into the result.
template <class T, class Read>
result<T> reading(Read&& read) {
  try {
    return read();
  } catch (const unreadable& rejected) {
    return rejected.error;
  }
}

descriptor to_descriptor(const node& at, std::uint64_t most) {
  return {at.at("mediaType").text(), at.at("digest").digest(), at.at("size").size(most)};
}

platform to_platform(const node& at) {
  return {at.at("os").text(), at.at("architecture").text(), at.text_or_empty("variant")};
}

image_index to_index(const node& document) {
  image_index index;
  for (const auto& element : document.at("manifests").list(max_index_entries)) {
    index_entry entry;
    entry.manifest = to_descriptor(element, max_document_bytes);
    if (const auto named = element.find("platform"))
      entry.platform = to_platform(*named);
    if (const auto annotations = element.find("annotations"))
      entry.name = annotations->text_or_empty("org.opencontainers.image.ref.name");
    index.entries.push_back(std::move(entry));
  }
  return index;
}

void check_layer_type(const std::string& media_type, std::size_t number) {
  for (const auto base : {oci_layer, docker_layer})
    for (const auto* packing : {"", "+gzip", "+zstd", ".gzip", ".zstd"})
      if (media_type == std::string(base) + packing)
        return;
  const bool elsewhere =
      media_type.find("nondistributable") != std::string::npos || media_type.find("foreign") != std::string::npos;
  const bool encrypted = media_type.find("+encrypted") != std::string::npos;
  reject(storage_errc::unsupported,
         "layer " + std::to_string(number) + " of the image is a '" + media_type + "'" +
             (elsewhere   ? ", which lies elsewhere than in the registry; build the image on a base that can be copied"
              : encrypted ? ", which is encrypted; push the image without encryption"
                          : ", which is no layer of files; only tar layers (plain, gzip, zstd) can be run"));
}

image_manifest to_manifest(const node& document, std::string_view media_type) {
  image_manifest manifest;
  manifest.media_type = media_type;
  manifest.config = to_descriptor(document.at("config"), max_document_bytes);
  if (manifest.config.media_type != oci_config && manifest.config.media_type != docker_config)
    reject(storage_errc::unsupported, "what the reference names is no container image: its configuration is a '" +
                                          manifest.config.media_type + "'; check the name and the tag");
  for (const auto& element : document.at("layers").list(max_layers)) {
    manifest.layers.push_back(to_descriptor(element, max_layer_bytes));
    check_layer_type(manifest.layers.back().media_type, manifest.layers.size());
  }
  if (manifest.layers.empty())
    reject(storage_errc::unsupported, "the image has no layers: there is nothing to run in it");
  return manifest;
}

/// What the document is, of the four media types we read; by its own word, the transport's and its members.
std::string_view kind_of(const node& document, std::string_view said) {
  const auto version = document.at("schemaVersion").size(1'000'000);
  if (version == 1)
    reject(storage_errc::unsupported, "the image is stored in Docker's schema 1, which was given up in 2019; push it "
                                      "again with a current docker, podman or skopeo");
  const bool lists = document.find("manifests").has_value();
  const bool holds = document.find("layers").has_value() || document.find("config").has_value();
  if (lists == holds)
    reject(storage_errc::malformed, lists ? "the image's manifest can be read as an index too, so it is refused; push "
                                            "the image again"
                                          : "the image's manifest has neither `manifests` nor `layers`; push the image "
                                            "again");
  const auto own = document.text_or_empty("mediaType");
  if (!own.empty() && !said.empty() && own != said)
    reject(storage_errc::malformed, "the image's manifest says that it is a '" + own + "', and was delivered as a '" +
                                        std::string(said) + "'; push the image again");
  const std::string_view type = own.empty() ? said : std::string_view(own);
  for (const auto known : {oci_index, docker_index, oci_manifest, docker_manifest})
    if (type == known) {
      if ((known == oci_index || known == docker_index) != lists)
        reject(storage_errc::malformed, "the image's manifest is not what its media type '" + std::string(type) +
                                            "' promises; push the image again");
      return known;
    }
  if (!type.empty())
    reject(storage_errc::unsupported, "the image's manifest is a '" + std::string(type) +
                                          "'; OCI images and Docker images of schema 2 can be read");
  return lists ? oci_index : oci_manifest;
}

} // namespace

std::uint64_t image_manifest::total_bytes() const {
  auto sum = config.size;
  for (const auto& layer : layers)
    sum += layer.size; // 127 times 64 GiB: cannot overflow
  return sum;
}

platform platform_of(std::string_view text) {
  platform made;
  for (auto* part : {&made.os, &made.architecture, &made.variant}) {
    const auto slash = text.find('/');
    *part = std::string(text.substr(0, slash));
    text = slash == std::string_view::npos ? std::string_view{} : text.substr(slash + 1);
  }
  return made;
}

bool runs_on(const platform& offered, const platform& wanted) {
  if (offered.os != wanted.os || offered.architecture != wanted.architecture)
    return false;
  if (offered.architecture == "arm64")
    return offered.variant.empty() || offered.variant == "v8";
  if (offered.architecture == "arm")
    return offered.variant.empty() || offered.variant <= wanted.variant;
  if (offered.architecture == "amd64")
    return offered.variant.empty() || offered.variant == "v1";
  return offered.variant == wanted.variant;
}

result<std::variant<image_index, image_manifest>> read_manifest(std::string_view bytes, std::string_view media_type) {
  using either = std::variant<image_index, image_manifest>;
  return reading<either>([&]() -> either {
    constexpr std::string_view what = "the image's manifest";
    const auto parsed = parse(what, bytes);
    const node document(what, parsed, {});
    const auto kind = kind_of(document, media_type);
    if (kind == oci_index || kind == docker_index)
      return to_index(document);
    return to_manifest(document, kind);
  });
}

result<image_index> read_index(std::string_view bytes) {
  auto read = read_manifest(bytes, {});
  if (!read)
    return read.error();
  if (auto* index = std::get_if<image_index>(&*read))
    return std::move(*index);
  return storage_error{storage_errc::malformed,
                       "the layout's index.json is an image's manifest, not an index; export the image again"};
}

result<image_config> read_config(std::string_view bytes) {
  return reading<image_config>([&] {
    constexpr std::string_view what = "the image's configuration";
    const auto parsed = parse(what, bytes);
    const node document(what, parsed, {});
    image_config image;
    image.platform = to_platform(document);
    if (const auto run = document.find("config")) {
      image.user = run->text_or_empty("User");
      image.environment = run->texts("Env");
      image.entrypoint = run->texts("Entrypoint");
      image.command = run->texts("Cmd");
      image.working_directory = run->text_or_empty("WorkingDir");
      image.stop_signal = run->text_or_empty("StopSignal");
      image.exposed_ports = run->keys("ExposedPorts");
      image.volumes = run->keys("Volumes");
      image.labels = run->text_map("Labels");
    }
    for (const auto& element : document.at("rootfs").at("diff_ids").list(max_layers))
      image.diff_ids.push_back(element.digest());
    return image;
  });
}

result<index_entry> choose(const image_index& index, const platform& wanted) {
  std::string offered;
  for (const auto& entry : index.entries) {
    if (entry.platform.os.empty() || entry.platform.os == "unknown")
      continue;
    if (runs_on(entry.platform, wanted))
      return entry;
    offered += (offered.empty() ? "" : ", ") + entry.platform.text();
    if (offered.size() > 400)
      break;
  }
  // An index with one image that does not say for what: its configuration will tell.
  if (offered.empty() && index.entries.size() == 1 && index.entries.front().platform.os.empty())
    return index.entries.front();
  return storage_error{storage_errc::unsupported, "the image is not built for " + wanted.text() + "; it is there for " +
                                                      (offered.empty() ? "no platform at all" : offered) +
                                                      ": push a build for this host's platform"};
}

result<void> check_image(const image_manifest& manifest, const image_config& config, const platform& wanted) {
  if (!runs_on(config.platform, wanted))
    return storage_error{storage_errc::unsupported, "the image is built for " + config.platform.text() +
                                                        ", this host is " + wanted.text() +
                                                        ": push a build for this host's platform"};
  if (manifest.layers.size() != config.diff_ids.size())
    return storage_error{storage_errc::malformed, "the image has " + std::to_string(manifest.layers.size()) +
                                                      " layers and its configuration speaks of " +
                                                      std::to_string(config.diff_ids.size()) +
                                                      "; push or export the image again"};
  return {};
}

std::vector<digest> chain_ids(const std::vector<digest>& diff_ids) {
  std::vector<digest> chain;
  chain.reserve(diff_ids.size());
  for (const auto& diff_id : diff_ids)
    chain.push_back(chain.empty() ? diff_id : digest_of(chain.back().text() + " " + diff_id.text()));
  return chain;
}

} // namespace prunella::storage
