#include "actors/instance/engine/engine_client.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "actors/instance/oci/conmon.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds quick{10'000};     ///< for what only looks; Podman asks dpkg or rpm before it tells its version
constexpr milliseconds slow{60'000};      ///< for what makes, starts or removes a container
constexpr milliseconds loading{1'800'000}; ///< for all of an image
constexpr std::size_t largest_answer = 16u << 20;
constexpr std::uint64_t tar_block = 512;

net::http_call_options options_of(milliseconds timeout) {
  net::http_call_options options;
  options.timeout = timeout;
  options.max_answer_bytes = largest_answer;
  return options;
}

driver_failure unreadable(const std::string& what) {
  return {driver_errc::runtime_failed, "the container engine answered something that is no " + what};
}

net::upload_part text_part(const std::string& name, const std::string& text) {
  return {tar_header(name, text.size()) + text, {}, 0, tar_block};
}

driver_result<net::upload_part> file_part(const std::string& name, const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error)
    return driver_failure{driver_errc::image_unavailable, "the image store lost `" + path + "`: " + error.message() + "; import or pull the image again"};
  return net::upload_part{tar_header(name, size), path, size, tar_block};
}

} // namespace

std::string engine_socket(const std::string& configured) {
  constexpr auto docker = "/run/docker.sock";
  constexpr auto podman = "/run/podman/podman.sock";
  std::error_code none;
  if (!configured.empty())
    return configured;
  return !std::filesystem::exists(docker, none) && std::filesystem::exists(podman, none) ? podman : docker;
}

// -- calls ---------------------------------------------------------------------------------------------------------------

driver_failure engine_client::away(const net::http_failure& why) {
  const auto now = std::chrono::steady_clock::now();
  std::lock_guard<std::mutex> guard{mutex_};
  version_.reset(); // it may be another one that comes back
  if (!away_since_)
    away_since_ = now;
  const bool is_over = now - *away_since_ > patience_;
  return {is_over ? driver_errc::runtime_failed : driver_errc::engine_away,
          "the container engine does not answer: " + why.sentence
            + "; start it on this host (`systemctl start docker` or `podman.socket`), or name its socket in the host's `drivers`"};
}

driver_result<net::http_answer> engine_client::taken(net::http_outcome outcome) {
  if (auto* failure = std::get_if<net::http_failure>(&outcome)) {
    // One answer that took too long, or was cut, says nothing of the engine as a whole: only who cannot connect does.
    if (failure->reason == net::http_failure::kind::bad_answer)
      return driver_failure{driver_errc::runtime_failed, "the container engine failed: " + failure->sentence};
    return away(*failure);
  }
  std::lock_guard<std::mutex> guard{mutex_};
  away_since_.reset();
  return std::get<net::http_answer>(std::move(outcome));
}

driver_result<net::http_answer> engine_client::ask(std::string_view method, const std::string& target, std::string body, milliseconds timeout) {
  return taken(net::unix_call(socket(), method, target, std::move(body), options_of(timeout)));
}

driver_result<engine_version> engine_client::version() {
  {
    std::lock_guard<std::mutex> guard{mutex_};
    if (version_)
      return *version_;
  }
  return ask_version();
}

driver_result<engine_version> engine_client::ask_version() {
  auto answer = ask("GET", "/version", {}, quick);
  if (const auto* failure = failure_in(answer))
    return *failure;
  const auto& got = std::get<net::http_answer>(answer);
  if (got.status / 100 != 2)
    return away({net::http_failure::kind::bad_answer,
                 socket() + " says " + std::to_string(got.status) + " when asked for its version: " + engine_message(got.body)});
  auto version = parse_engine_version(got.body);
  if (const auto* known = std::get_if<engine_version>(&version)) {
    std::lock_guard<std::mutex> guard{mutex_};
    version_ = *known;
  }
  return version;
}

driver_result<net::http_answer> engine_client::call(std::string_view method, const std::string& target, std::string body,
                                                    milliseconds timeout) {
  const auto known = version();
  if (const auto* failure = failure_in(known))
    return *failure;
  return ask(method, "/v" + std::get<engine_version>(known).api + target, std::move(body), timeout);
}

driver_failure engine_client::refused(const std::string& what, const net::http_answer& answer) {
  return {driver_errc::runtime_failed, "the container engine could not " + what + " (" + std::to_string(answer.status) + "): " + engine_message(answer.body)};
}

// -- images --------------------------------------------------------------------------------------------------------------

driver_result<bool> engine_client::has(const provided_image& image) {
  const auto name = engine_image_name(image.manifest);
  auto answer = call("GET", "/images/" + name + "/json", {}, quick);
  if (const auto* failure = failure_in(answer))
    return *failure;
  const auto& got = std::get<net::http_answer>(answer);
  if (got.status != 200 && got.status != 404)
    return refused("look for the image " + name, got);
  const auto found = got.status == 200 ? parse_engine_image(got.body) : std::nullopt;
  const auto& wanted = image.config.diff_ids;
  return found && std::equal(wanted.begin(), wanted.end(), found->diff_ids.begin(), found->diff_ids.end(),
                             [](const auto& a, const auto& b) { return a.text() == b; });
}

std::optional<driver_failure> engine_client::load(const provided_image& image) {
  const auto name = engine_image_name(image.manifest);
  if (auto failure = upload(image, name))
    return failure;
  auto after = has(image);
  if (const auto* failure = failure_in(after))
    return *failure;
  if (!std::get<bool>(after))
    return driver_failure{driver_errc::runtime_failed, "the container engine took the image " + name + " and has other layers under that name now"};
  return std::nullopt;
}

std::optional<driver_failure> engine_client::upload(const provided_image& image, const std::string& name) {
  std::vector<net::upload_part> archive{text_part("manifest.json", archive_manifest(name, image.layer_files.size()))};
  const auto add = [&](const std::string& part, const std::string& path) -> std::optional<driver_failure> {
    auto made = file_part(part, path);
    if (const auto* failure = failure_in(made))
      return *failure;
    archive.push_back(std::get<net::upload_part>(std::move(made)));
    return std::nullopt;
  };
  if (auto failure = add("config.json", image.config_file))
    return failure;
  for (std::size_t i = 0; i < image.layer_files.size(); ++i)
    if (auto failure = add("layer-" + std::to_string(i), image.layer_files[i]))
      return failure;
  archive.push_back({std::string(2 * tar_block, '\0')});
  const auto known = version();
  if (const auto* failure = failure_in(known))
    return *failure;
  auto options = options_of(loading);
  options.content_type = "application/x-tar";
  auto answer = taken(net::unix_upload(socket(), "/v" + std::get<engine_version>(known).api + "/images/load?quiet=true", archive, options));
  if (const auto* failure = failure_in(answer))
    return *failure;
  const auto& got = std::get<net::http_answer>(answer);
  if (got.status / 100 != 2)
    return refused("take the image " + name, got);
  if (const auto problem = load_problem(got.body))
    return driver_failure{driver_errc::runtime_failed, "the container engine could not take the image " + name + ": " + *problem};
  return std::nullopt;
}

driver_result<std::vector<std::string>> engine_client::images() {
  auto answer = call("GET", "/images/json?filters=" + percent_encoded("{\"reference\":[\"" + std::string{engine_image_repository} + "\"]}"), {}, quick);
  if (const auto* failure = failure_in(answer))
    return *failure;
  const auto& got = std::get<net::http_answer>(answer);
  return got.status == 200 ? driver_result<std::vector<std::string>>{parse_engine_images(got.body)} : refused("list its images", got);
}

bool engine_client::remove_image(const std::string& name) {
  auto answer = call("DELETE", "/images/" + name, {}, slow);
  return failure_in(answer) == nullptr && std::get<net::http_answer>(answer).status == 200;
}

// -- containers ----------------------------------------------------------------------------------------------------------

driver_result<std::optional<std::string>> engine_client::create(const std::string& name, const std::string& body) {
  auto answer = call("POST", "/containers/create?name=" + percent_encoded(name), body, slow);
  if (const auto* failure = failure_in(answer))
    return *failure;
  const auto& got = std::get<net::http_answer>(answer);
  const auto message = engine_message(got.body);
  // Podman says so with 500, as of 4.3.
  if (got.status == 409 || message.find("already in use") != std::string::npos)
    return std::optional<std::string>{};
  if (got.status != 201)
    return refused("make the container " + name, got);
  auto id = parse_engine_id(got.body);
  return id.empty() ? driver_result<std::optional<std::string>>{unreadable("new container")} : std::optional{std::move(id)};
}

std::optional<driver_failure> engine_client::start(const std::string& id) {
  auto answer = call("POST", "/containers/" + id + "/start", {}, slow);
  if (const auto* failure = failure_in(answer))
    return *failure;
  const auto& got = std::get<net::http_answer>(answer);
  if (got.status == 204 || got.status == 304)
    return std::nullopt;
  return explain_runtime(engine_message(got.body));
}

driver_result<std::optional<engine_container>> engine_client::inspect(const std::string& id) {
  const auto known = version();
  if (const auto* failure = failure_in(known))
    return *failure;
  // Only Podman's own dialect names the conmon.
  const bool is_podman = std::get<engine_version>(known).is_podman;
  auto answer = is_podman ? ask("GET", "/v4.0.0/libpod/containers/" + percent_encoded(id) + "/json", {}, quick)
                          : call("GET", "/containers/" + percent_encoded(id) + "/json", {}, quick);
  if (const auto* failure = failure_in(answer))
    return *failure;
  const auto& got = std::get<net::http_answer>(answer);
  if (got.status == 404)
    return std::optional<engine_container>{};
  if (got.status != 200)
    return refused("look at the container " + id, got);
  auto found = parse_engine_container(got.body);
  return found ? driver_result<std::optional<engine_container>>{std::move(found)} : unreadable("container");
}

driver_result<std::vector<engine_listed>> engine_client::list(const std::string& agent) {
  auto answer = call("GET", list_target(agent), {}, quick);
  if (const auto* failure = failure_in(answer))
    return *failure;
  const auto& got = std::get<net::http_answer>(answer);
  if (got.status != 200)
    return refused("list its containers", got);
  auto found = parse_engine_list(got.body);
  return found ? driver_result<std::vector<engine_listed>>{std::move(*found)} : unreadable("list of containers");
}

std::optional<driver_failure> engine_client::rename(const std::string& id, const std::string& name) {
  auto answer = call("POST", "/containers/" + id + "/rename?name=" + percent_encoded(name), {}, quick);
  if (const auto* failure = failure_in(answer))
    return *failure;
  const auto& got = std::get<net::http_answer>(answer);
  return got.status == 204 ? std::nullopt : std::optional{refused("rename the container " + id, got)};
}

std::optional<driver_failure> engine_client::remove(const std::string& id) {
  auto answer = call("DELETE", "/containers/" + id + "?force=true&v=true", {}, slow);
  if (const auto* failure = failure_in(answer))
    return *failure;
  const auto& got = std::get<net::http_answer>(answer);
  return got.status / 100 == 2 || got.status == 404 ? std::nullopt : std::optional{refused("remove the container " + id, got)};
}

driver_result<net::unix_stream> engine_client::logs(const std::string& id, const std::string& since) {
  const auto known = version();
  if (const auto* failure = failure_in(known))
    return *failure;
  auto opened = net::unix_open(socket(), "GET",
                               "/v" + std::get<engine_version>(known).api + "/containers/" + id + "/logs?follow=1&stdout=1&stderr=1&timestamps=1"
                                 + (since.empty() ? std::string{} : "&since=" + since),
                               {}, false, options_of(quick));
  if (const auto* failure = std::get_if<net::http_failure>(&opened))
    return away(*failure);
  if (const auto* answer = std::get_if<net::http_answer>(&opened))
    return refused("tell what the container " + id + " printed", *answer);
  return std::get<net::unix_stream>(std::move(opened));
}

} // namespace prunella::actors
