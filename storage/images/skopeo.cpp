#include "storage/images/skopeo.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "storage/images/child_process.hpp"
#include "storage/images/salvage.hpp"
#include "storage/os_files.hpp"

namespace prunella::storage {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t shown_words = 400;
/// How often it is looked what has arrived, when that is bounded: what comes in between comes at the full speed of the line.
constexpr std::chrono::milliseconds pace_tick{10};

/// Nothing of the agent's own environment: no credentials and no configuration of whoever started it.
std::vector<std::string> environment_for(const skopeo_folder& folder, const registry_access& access) {
  std::vector<std::string> variables{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                     "HOME=" + folder.path() + "/home", "XDG_RUNTIME_DIR=" + folder.path() + "/home",
                                     "TMPDIR=" + folder.path() + "/home"};
  variables.insert(variables.end(), access.environment.begin(), access.environment.end());
  return variables;
}

std::vector<std::string> base_command(const skopeo_folder& folder) {
  return {"skopeo", "--insecure-policy", "--tmpdir", folder.path() + "/home"};
}

bool is_registry(const std::string& source) {
  return source.compare(0, 9, "docker://") == 0;
}

/// The options about the registry, with skopeo's `prefix` for them (`src-` when copying).
void add_access(std::vector<std::string>& command, const std::string& prefix, const registry_access& access) {
  command.push_back("--" + prefix + "tls-verify=" + (access.insecure ? "false" : "true"));
  if (!access.auth_file.empty())
    command.insert(command.end(), {"--authfile", access.auth_file});
  else
    command.push_back("--" + prefix + "no-creds");
  if (!access.certificates.empty())
    command.insert(command.end(), {"--" + prefix + "cert-dir", access.certificates});
}

/// Skopeo asks such a registry again by itself, for as long as that says, and tells it only in its debug lines.
constexpr std::string_view asks_too_often = "Too many requests to ";

/// Without what had arrived: who waits shows this as a reason, which is news only when it is another one.
storage_error stalled(const std::string& what, std::chrono::milliseconds after, std::string_view errors = {}) {
  if (errors.find(asks_too_often) != std::string_view::npos)
    return {storage_errc::unreachable, what + ": the registry answers 429 (too many requests), for longer than " +
                                           std::to_string(after.count()) + " ms: wait, or raise its limit"};
  return {storage_errc::stalled, what + ": nothing arrived for " + std::to_string(after.count()) +
                                     " ms; what had arrived whole is kept: look at the registry and the line to "
                                     "it, and pull again"};
}

storage_error too_slow(const std::string& what, std::chrono::milliseconds limit) {
  return {storage_errc::unreachable, what + ": not done after " + std::to_string(limit.count()) +
                                         " ms; what had arrived whole is kept: pull again, or allow more time"};
}

/// `docker://registry/name:tag` or a file's.
skopeo_source source_of(const std::string& source, const registry_access& access, const std::string& what) {
  if (!is_registry(source))
    return {what, {}, {}};
  return {what, source.substr(9, source.find('/', 9) - 9), access.auth_place};
}

storage_error end_error(const child_end& end, const skopeo_source& from) {
  if (end.too_much_output)
    return {storage_errc::refused, from.what + ": its manifest or configuration has more than " +
                                       std::to_string(max_document_bytes) + " bytes; push the image again"};
  return explain_skopeo(end.errors, from);
}

/// Skopeo's log line reduced to its message: `time="…" level=fatal msg="…"`, quotes within escaped.
std::string last_words(std::string_view errors) {
  const auto fatal = errors.rfind("level=fatal msg=\"");
  std::string words;
  if (fatal != std::string_view::npos)
    for (auto at = fatal + 17; at < errors.size() && errors[at] != '"' && words.size() < shown_words; ++at) {
      const bool is_escaped = errors[at] == '\\' && at + 1 < errors.size();
      at += is_escaped ? 1 : 0;
      const char x = is_escaped && (errors[at] == 'n' || errors[at] == 't') ? ' ' : errors[at];
      if (x != ' ' || (!words.empty() && words.back() != ' '))
        words += x;
    }
  else
    words = errors.substr(0, shown_words);
  words.erase(words.find_last_not_of(' ') + 1);
  return words;
}

struct meaning {
  std::string_view words;
  storage_errc code;
  std::string_view says;
};

constexpr std::string_view wants_credentials = "the registry wants credentials, or other ones; log in on this host with "
                                               "`skopeo login --authfile AUTHFILE REGISTRY`";

/// Of an archive that says what its blobs are, and of which some are others or missing.
constexpr std::string_view is_damaged = "the archive is damaged or incomplete; if it was copied here, copy it again, else make it anew with "
                                        "`docker save`, `podman save` or `skopeo copy`";

/// Of an index; skopeo names what it looked for.
constexpr std::string_view no_build = "it holds no build for this host's platform; push or export one, with all platforms";

constexpr meaning meanings_of_archives[]{
    {"no space left on device", storage_errc::disk_full,
     "the disk is full; free some space on the file system of the data directory"},
    {"permission denied", storage_errc::inaccessible, "a file may not be read or written; look at its owner and mode"},
    {"igest did not match", storage_errc::malformed, is_damaged},
    {"unexpected EOF", storage_errc::malformed, is_damaged},
    {"invalid checksum", storage_errc::malformed, is_damaged},
    {"invalid tar header", storage_errc::malformed, is_damaged},
    {"digest", storage_errc::malformed, is_damaged},
    {"not found", storage_errc::malformed, is_damaged},
    {"no image found in", storage_errc::unsupported, no_build},
    {"choosing image", storage_errc::unsupported, "it holds no image, or several, that could be meant; name the tag"},
};

constexpr std::string_view speaks_plain_http =
    "the registry speaks plain HTTP; if it is on your own network, start the agent with `--insecure-registry REGISTRY`, else "
    "give the registry a certificate";
constexpr std::string_view does_not_give =
    "the registry does not give this image to these credentials (some registries say that of unknown images too); "
    "check the name, or log in as somebody who may have it with `skopeo login --authfile AUTHFILE REGISTRY`";
constexpr std::string_view has_not_all = "the registry has the image, but not all of its layers; push the image again";
constexpr std::string_view is_asked_too_often = "the registry limits how often it is asked; try again later";
constexpr std::string_view has_a_fault = "the registry has a fault of its own; try again later";
constexpr std::string_view sends_elsewhere =
    "the registry sends on to somewhere else that does not lead to the image; name the registry as it is reached in the end, or "
    "correct what answers in its place";

/// The first that is found in skopeo's words counts, so the special ones come first.
constexpr meaning meanings[]{
    {"getting username and password", storage_errc::denied,
     "the file with the credentials, AUTHFILE, cannot be read; correct it, or make it anew with `skopeo login --authfile AUTHFILE "
     "REGISTRY`"},
    {"no space left on device", storage_errc::disk_full,
     "the disk is full; free some space on the file system of the data directory"},
    {"server gave HTTP response to HTTPS client", storage_errc::refused, speaks_plain_http},
    {"first record does not look like a TLS handshake", storage_errc::refused, speaks_plain_http},
    {"x509:", storage_errc::refused,
     "the registry's certificate is not trusted; give its authority's certificate, or correct this host's clock"},
    {"tls: ", storage_errc::refused,
     "the registry and this host cannot agree on TLS; look at the registry's certificate"},
    {"permission denied", storage_errc::inaccessible, "a file may not be read or written; look at its owner and mode"},
    {"unauthorized", storage_errc::denied, wants_credentials},
    {"authentication required", storage_errc::denied, wants_credentials},
    {"denied", storage_errc::denied, does_not_give},
    {"StatusCode: 403", storage_errc::denied, does_not_give},
    {"from registry 403", storage_errc::denied, does_not_give},
    {"manifest unknown", storage_errc::not_found,
     "the registry does not know this image or tag; check the name, or push it"},
    {"StatusCode: 404", storage_errc::not_found,
     "the registry does not know this image or tag; check the name, or push it"},
    {"from registry 404", storage_errc::not_found, has_not_all},
    {"blob unknown", storage_errc::not_found, has_not_all},
    {"name unknown", storage_errc::not_found, "the registry does not know this image; check the name, or push it"},
    {"not found", storage_errc::not_found, "it is not there; check the name"},
    {"no such file", storage_errc::not_found, "it is not there; check the path"},
    {"too many requests", storage_errc::unreachable, is_asked_too_often},
    {"toomanyrequests", storage_errc::unreachable, is_asked_too_often},
    {"StatusCode: 429", storage_errc::unreachable, is_asked_too_often},
    {"HTTP status: 429", storage_errc::unreachable, is_asked_too_often},
    {"from registry 429", storage_errc::unreachable, is_asked_too_often},
    {"StatusCode: 3", storage_errc::refused, sends_elsewhere},
    {"HTTP status: 3", storage_errc::refused, sends_elsewhere},
    {"from registry 3", storage_errc::refused, sends_elsewhere},
    {"missing Location header", storage_errc::refused, sends_elsewhere},
    {"stopped after 10 redirects", storage_errc::refused, sends_elsewhere},
    {"no such host", storage_errc::unreachable,
     "the registry's name cannot be resolved; check the name, and this host's name server"},
    {"connection refused", storage_errc::unreachable,
     "nothing listens there; is the registry running, and the port right?"},
    {"no route to host", storage_errc::unreachable, "there is no way to the registry; look at this host's network"},
    {"network is unreachable", storage_errc::unreachable,
     "there is no way to the registry; look at this host's network"},
    {"timeout", storage_errc::unreachable, "the registry does not answer in time; try again"},
    {"deadline exceeded", storage_errc::unreachable, "the registry does not answer in time; try again"},
    {"connection reset", storage_errc::unreachable, "the connection broke; what had arrived whole is kept: try again"},
    {"broken pipe", storage_errc::unreachable, "the connection broke; what had arrived whole is kept: try again"},
    {"EOF", storage_errc::unreachable, "the connection broke; what had arrived whole is kept: try again"},
    {"StatusCode: 5", storage_errc::unreachable, has_a_fault},
    {"from registry 5", storage_errc::unreachable, has_a_fault},
    {"500 Internal", storage_errc::unreachable, has_a_fault},
    {"received unexpected HTTP status", storage_errc::unreachable, has_a_fault},
    {"igest did not match", storage_errc::unverified,
     "the registry delivered other bytes than it promised; push the image again, or look at what lies between"},
    {"digest", storage_errc::unverified,
     "the registry delivered other bytes than it promised; push the image again, or look at what lies between"},
    {"no image found in", storage_errc::unsupported, no_build},
    {"choosing image", storage_errc::unsupported, "it holds no image, or several, that could be meant; name the tag"},
};

/// `says` with the names that it stands for.
std::string filled_in(std::string_view says, const skopeo_source& from) {
  std::string text{says};
  const auto put = [&](std::string_view word, const std::string& name) {
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + name.size()))
      text.replace(at, word.size(), name);
  };
  put("REGISTRY", from.registry);
  put("AUTHFILE", from.auth_place.empty() ? "DATA_DIR/registry-auth.json" : from.auth_place);
  return text;
}

} // namespace

storage_error explain_skopeo(std::string_view errors, const skopeo_source& from) {
  const auto words = last_words(errors);
  const auto explained = [&](const auto& table) -> std::optional<storage_error> {
    for (const auto& known : table)
      if (words.find(known.words) != std::string::npos)
        return storage_error{known.code, from.what + ": " + filled_in(known.says, from) + " (skopeo: " + words + ")"};
    return std::nullopt;
  };
  if (const auto meant = from.registry.empty() ? explained(meanings_of_archives) : explained(meanings))
    return *meant;
  return {storage_errc::malformed, from.what +
                                       ": what is there is no image that can be read; check that it is a container image (skopeo: " +
                                       (words.empty() ? "no reason given" : words) + ")"};
}

result<skopeo_folder> skopeo_folder::make(image_store& store, const std::string& name,
                                          const std::vector<descriptor>& known) {
  skopeo_folder folder(store.staging() + "/" + name, store.blobs());
  if (auto cleared = salvage_import(folder.path_, store.blobs()); !cleared)
    return cleared.error();
  for (const auto* part : {"", "/blobs", "/blobs/sha256", "/home"})
    if (auto made = make_folder(folder.path_ + part); !made)
      return made.error();
  for (const auto& blob : known)
    if (store.blobs().contains(blob.digest) &&
        ::link(store.blobs().path(blob.digest).c_str(), folder.blob(blob.digest).c_str()) != 0 && errno != EEXIST)
      return os_error(errno, "link a blob into " + folder.path_);
  return folder;
}

skopeo_folder::~skopeo_folder() {
  if (!path_.empty())
    static_cast<void>(salvage_import(path_, *blobs_)); // what stays is cleaned up at the next open
}

void skopeo_folder::discard() {
  std::error_code ignored; // what stays is cleaned up at the next open
  fs::remove_all(path_, ignored);
}

std::uint64_t skopeo_folder::new_bytes() const {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator file(path_, error), end; !error && file != end; file.increment(error)) {
    struct stat status {};
    if (::lstat(file->path().c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1)
      bytes += static_cast<std::uint64_t>(status.st_size);
  }
  return bytes;
}

result<std::string> inspect(const skopeo_folder& folder, const std::string& source, bool config,
                            const registry_access& access, const std::string& what) {
  child_order order;
  order.command = base_command(folder);
  order.command.insert(order.command.end(), {"--debug", "inspect", "--raw"});
  if (config)
    order.command.push_back("--config");
  if (is_registry(source))
    add_access(order.command, "", access);
  order.command.push_back(source);
  order.environment = environment_for(folder, access);
  order.max_output = max_document_bytes;
  order.go_on = [&](std::chrono::milliseconds passed) { return passed < access.document_timeout; };
  auto end = run_child(order);
  if (!end)
    return end.error();
  if (end->ended_by_us)
    return stalled(what, access.document_timeout, end->errors);
  if (!end->succeeded())
    return end_error(*end, source_of(source, access, what));
  return std::move(end->output);
}

result<void> copy_with_skopeo(const skopeo_folder& folder, const std::string& source, const registry_access& access,
                              const platform& wanted, const std::string& what,
                              const std::function<bool(std::uint64_t)>& progress) {
  child_order order;
  order.command = base_command(folder);
  order.command.insert(order.command.end(),
                       {"--override-os", wanted.os, "--override-arch", wanted.architecture, "copy", "--quiet",
                        "--dest-oci-accept-uncompressed-layers", "--dest-shared-blob-dir", folder.path() + "/blobs"});
  if (is_registry(source))
    add_access(order.command, "src-", access);
  order.command.insert(order.command.end(), {source, "oci:" + folder.layout() + ":image"});
  order.environment = environment_for(folder, access);
  stall_watch watch(access.stall_after);
  bool wished = true, moving = true;
  std::uint64_t bytes = 0, paced = 0;
  order.go_on = [&](std::chrono::milliseconds passed) {
    bytes = folder.new_bytes();
    moving = !watch.stalled(bytes, passed);
    wished = progress(bytes);
    return wished && moving && passed < access.total_timeout;
  };
  if (is_registry(source) && access.pace) {
    order.tick = pace_tick;
    order.rest = [&] {
      const auto more = bytes - std::min(bytes, std::exchange(paced, std::max(paced, bytes)));
      return access.pace(more);
    };
  }
  auto end = run_child(order);
  if (order.rest)
    access.pace(folder.new_bytes() - std::min(folder.new_bytes(), paced)); // what came last counts for who comes next
  if (!end)
    return end.error();
  if (end->ended_by_us && !wished)
    return storage_error{storage_errc::unreachable,
                         what + ": ended on request; what had arrived whole is kept for the next time"};
  if (end->ended_by_us)
    return moving ? too_slow(what, access.total_timeout) : stalled(what, access.stall_after);
  if (!end->succeeded())
    return end_error(*end, source_of(source, access, what));
  return {};
}

} // namespace prunella::storage
