#include "actors/instance/engine/engine_api.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "actors/host/wall_clock.hpp"
#include "actors/instance/oci/conmon.hpp"
#include "config/json.hpp"
#include "config/signal.hpp"
#include "config/time.hpp"

namespace prunella::actors {

namespace json = boost::json;

namespace {

constexpr std::size_t shown_words = 500;

// What `record_of` reads again.
constexpr std::string_view label_container = "prunella.container";
constexpr std::string_view label_instance = "prunella.instance";
constexpr std::string_view label_generation = "prunella.generation";
constexpr std::string_view label_spec_hash = "prunella.spec-hash";
constexpr std::string_view label_stop_signal = "prunella.stop-signal";
// For people.
constexpr std::string_view label_site = "prunella.site";
constexpr std::string_view label_host = "prunella.host";
constexpr std::string_view label_image = "prunella.image";

std::optional<json::value> parse(std::string_view body) {
  auto parsed = config::parse_json(body);
  return parsed.error.empty() ? std::optional{std::move(parsed.value)} : std::nullopt;
}

std::optional<json::object> parse_object(std::string_view body) {
  auto value = parse(body);
  return value && value->is_object() ? std::optional{std::move(value->get_object())} : std::nullopt;
}

const json::object& object_in(const json::object& from, std::string_view name) {
  static const json::object none;
  const auto* found = from.if_contains(json::string_view{name.data(), name.size()});
  return found != nullptr && found->is_object() ? found->get_object() : none;
}

std::string text_in(const json::object& from, std::string_view name) {
  const auto* found = from.if_contains(json::string_view{name.data(), name.size()});
  return found != nullptr && found->is_string() ? std::string{found->get_string().data(), found->get_string().size()} : std::string{};
}

std::int64_t number_in(const json::object& from, std::string_view name) {
  const auto* found = from.if_contains(json::string_view{name.data(), name.size()});
  return found != nullptr && found->is_int64() ? found->get_int64() : 0;
}

bool flag_in(const json::object& from, std::string_view name) {
  const auto* found = from.if_contains(json::string_view{name.data(), name.size()});
  return found != nullptr && found->is_bool() && found->get_bool();
}

std::vector<std::string> texts_in(const json::object& from, std::string_view name) {
  std::vector<std::string> texts;
  const auto* found = from.if_contains(json::string_view{name.data(), name.size()});
  if (found != nullptr && found->is_array())
    for (const auto& x : found->get_array())
      if (x.is_string())
        texts.emplace_back(x.get_string().data(), x.get_string().size());
  return texts;
}

std::map<std::string, std::string> labels_in(const json::object& from) {
  std::map<std::string, std::string> labels;
  for (const auto& [name, value] : object_in(from, "Labels"))
    if (value.is_string())
      labels.emplace(std::string{name.data(), name.size()}, std::string{value.get_string().data(), value.get_string().size()});
  return labels;
}

json::string to_json(std::string_view text) { return json::string(text.data(), text.size()); }

json::array to_json(const std::vector<std::string>& texts) {
  json::array list;
  for (const auto& x : texts)
    list.emplace_back(to_json(x));
  return list;
}

/// `1.41` → 1041; 0 for what is no version.
int number_of(std::string_view version) {
  int major = 0;
  int minor = 0;
  const auto* end = version.data() + version.size();
  const auto dot = std::from_chars(version.data(), end, major);
  if (dot.ec != std::errc{} || dot.ptr == end || *dot.ptr != '.')
    return 0;
  const auto rest = std::from_chars(dot.ptr + 1, end, minor);
  return rest.ec == std::errc{} && rest.ptr == end && minor < 1000 && minor >= 0 && major >= 0 ? major * 1000 + minor : 0;
}

template <class T>
std::optional<T> number_of_label(const std::map<std::string, std::string>& labels, std::string_view name) {
  const auto found = labels.find(std::string{name});
  T value{};
  if (found == labels.end())
    return std::nullopt;
  const auto& text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional{value} : std::nullopt;
}

} // namespace

// -- the engine ----------------------------------------------------------------------------------------------------------

std::variant<engine_version, driver_failure> parse_engine_version(std::string_view body) {
  const auto object = parse_object(body);
  const auto api = object ? text_in(*object, "ApiVersion") : std::string{};
  const auto least = object ? text_in(*object, "MinAPIVersion") : std::string{};
  if (number_of(api) == 0)
    return driver_failure{driver_errc::runtime_failed, "what answers there is no container engine: it does not say which version of the API it has"};
  engine_version version;
  const auto& components = object->if_contains("Components");
  if (components != nullptr && components->is_array())
    for (const auto& x : components->get_array())
      version.is_podman = version.is_podman || (x.is_object() && text_in(x.get_object(), "Name") == "Podman Engine");
  version.name = (version.is_podman ? "Podman " : "Docker ") + text_in(*object, "Version");
  if (number_of(api) < number_of(least_engine_api))
    return driver_failure{driver_errc::no_driver, version.name + " speaks version " + api + " of the engine's API, and " + std::string{least_engine_api}
                                                    + " is the oldest that will do: install Docker 19.03 or Podman 4, or later, or use the driver oci"};
  version.api = std::string{best_engine_api};
  if (number_of(api) < number_of(best_engine_api))
    version.api = api;
  else if (number_of(least) > number_of(best_engine_api))
    version.api = least;
  return version;
}

std::string engine_message(std::string_view body) {
  const auto object = parse_object(body);
  auto message = object ? text_in(*object, "message") : std::string{};
  if (message.empty())
    message = std::string{body.substr(0, shown_words)};
  std::replace_if(message.begin(), message.end(), [](char c) { return c >= 0 && c < ' '; }, ' ');
  message.erase(message.find_last_not_of(' ') + 1);
  return message.substr(0, shown_words);
}

// -- images --------------------------------------------------------------------------------------------------------------

std::string engine_image_name(const std::string& manifest) {
  auto tag = manifest;
  std::replace(tag.begin(), tag.end(), ':', '-');
  return std::string{engine_image_repository} + ":" + tag;
}

std::optional<engine_image> parse_engine_image(std::string_view body) {
  const auto object = parse_object(body);
  if (!object || text_in(*object, "Id").empty())
    return std::nullopt;
  return engine_image{text_in(*object, "Id"), texts_in(object_in(*object, "RootFS"), "Layers")};
}

std::vector<std::string> parse_engine_images(std::string_view body) {
  std::vector<std::string> names;
  const auto list = parse(body);
  if (list && list->is_array())
    for (const auto& image : list->get_array())
      if (image.is_object())
        for (auto& name : texts_in(image.get_object(), "RepoTags"))
          if (name.rfind(std::string{engine_image_repository} + ":", 0) == 0)
            names.push_back(std::move(name));
  return names;
}

std::optional<std::string> load_problem(std::string_view body) {
  // One object per line; the last that is an error counts.
  std::optional<std::string> problem;
  while (!body.empty()) {
    const auto line = body.substr(0, body.find('\n'));
    body.remove_prefix(std::min(line.size() + 1, body.size()));
    if (const auto object = parse_object(line); object && !text_in(*object, "error").empty())
      problem = text_in(*object, "error").substr(0, shown_words);
  }
  return problem;
}

std::string tar_header(const std::string& name, std::uint64_t size) {
  constexpr std::size_t size_at = 124;
  constexpr std::size_t sum_at = 148;
  constexpr std::uint64_t largest_octal = (std::uint64_t{1} << 33) - 1;
  std::string header(512, '\0');
  const auto put = [&](std::size_t at, std::string_view text) { header.replace(at, text.size(), text); };
  const auto octal = [](std::uint64_t value, std::size_t digits) {
    std::string text(digits, '0');
    for (auto i = digits; i-- > 0; value >>= 3)
      text[i] = static_cast<char>('0' + (value & 7));
    return text;
  };
  put(0, std::string_view{name}.substr(0, 99));
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  if (size <= largest_octal) {
    put(size_at, octal(size, 11));
  } else {
    header[size_at] = static_cast<char>(0x80);
    for (std::size_t i = 11; i >= 4; --i, size >>= 8)
      header[size_at + i] = static_cast<char>(size & 255);
  }
  put(136, "00000000000");
  put(sum_at, "        ");
  header[156] = '0';
  put(257, std::string_view{"ustar\0" "00", 8});
  std::uint64_t sum = 0;
  for (const char c : header)
    sum += static_cast<unsigned char>(c);
  put(sum_at, octal(sum, 6) + std::string{"\0 ", 2});
  return header;
}

std::string archive_manifest(const std::string& image_name, std::size_t layers) {
  json::array files;
  for (std::size_t i = 0; i < layers; ++i)
    files.emplace_back(to_json("layer-" + std::to_string(i)));
  return config::json_text(json::array{json::object{
    {"Config", "config.json"}, {"RepoTags", json::array{to_json(image_name)}}, {"Layers", std::move(files)}}});
}

// -- containers ----------------------------------------------------------------------------------------------------------

namespace {

json::object labels_of(const engine_create_request& request) {
  const auto& order = request.order;
  const auto variable = [&](const char* name) {
    const auto found = order.env.find(name);
    return found == order.env.end() ? std::string{} : found->second;
  };
  json::object labels;
  const auto put = [&](std::string_view name, const std::string& value) { labels[json::string_view{name.data(), name.size()}] = to_json(value); };
  put(label_agent, request.agent);
  put(label_container, order.name);
  put(label_instance, order.instance);
  put(label_generation, std::to_string(order.generation));
  put(label_spec_hash, order.spec_hash);
  put(label_stop_signal, std::to_string(config::stop_signal(order.spec.stop_signal, request.image_stop_signal)));
  put(label_site, variable("PRUNELLA_SITE"));
  put(label_host, variable("PRUNELLA_HOST"));
  put(label_image, order.spec.image);
  return labels;
}

json::object log_config_of(const engine_create_request& request) {
  if (!request.log_path.empty())
    return {{"Type", "k8s-file"},
            {"Config", json::object{{"path", to_json(request.log_path)}, {"max-size", to_json(std::to_string(request.log_cap_bytes))}}}};
  return {{"Type", "json-file"},
          {"Config", json::object{{"max-size", to_json(std::to_string(request.log_cap_bytes))}, {"max-file", "2"}}}};
}

void add_mounts(const engine_create_request& request, json::object& host) {
  json::array binds;
  json::object memory;
  for (const auto& x : request.mounts)
    if (x.source.empty())
      memory[json::string_view{x.target.data(), x.target.size()}] =
        to_json(std::string{"nosuid,nodev,exec,mode=1777,"} + (x.read_only ? "ro" : "rw")
                + (x.size_bytes > 0 ? ",size=" + std::to_string(x.size_bytes) : std::string{}));
    else
      binds.push_back(json::object{{"Type", "bind"},
                                   {"Source", to_json(x.source)},
                                   {"Target", to_json(x.target)},
                                   {"ReadOnly", x.read_only},
                                   {"BindOptions", json::object{{"Propagation", "rprivate"}}}});
  host["Mounts"] = std::move(binds);
  host["Tmpfs"] = std::move(memory);
}

void add_limits(const engine_create_request& request, json::object& host) {
  const auto& asked = request.order.spec.resources;
  if (asked.cpu_millis > 0) {
    host["NanoCpus"] = asked.cpu_millis * 1'000'000;
    host["CpuShares"] = std::max<std::int64_t>(2, asked.cpu_millis * 1024 / 1000);
  }
  if (asked.memory_bytes > 0) {
    host["Memory"] = asked.memory_bytes;
    if (request.swap_is_counted)
      host["MemorySwap"] = asked.memory_bytes; // memory and swap together, so: no swap
  }
  host["PidsLimit"] = request.order.spec.pids > 0 ? std::int64_t{request.order.spec.pids} : default_pids;
  host["ShmSize"] = shared_memory_bytes;
  json::array limits;
  const auto add = [&](const char* name, std::uint64_t value) {
    if (value > 0)
      limits.push_back(json::object{{"Name", name}, {"Soft", value}, {"Hard", value}});
  };
  add("nofile", request.open_files);
  add("nproc", request.processes);
  host["Ulimits"] = std::move(limits);
}

} // namespace

std::string create_body(const engine_create_request& request) {
  const auto& spec = request.order.spec;
  json::object host{{"NetworkMode", to_json(request.network_mode)},
                    {"RestartPolicy", json::object{{"Name", "no"}}},
                    {"LogConfig", log_config_of(request)},
                    {"CapDrop", json::array{"ALL"}},
                    {"CapAdd", request.is_root ? to_json(default_capabilities) : json::array{}},
                    {"SecurityOpt", json::array{"no-new-privileges"}},
                    {"ReadonlyRootfs", spec.read_only_root}};
  add_mounts(request, host);
  add_limits(request, host);
  // Low ports for any user of the container: the network is its own, so they guard nothing there.
  if (request.network_mode != "host")
    host["Sysctls"] = json::object{{"net.ipv4.ip_unprivileged_port_start", "0"}};
  json::array environment;
  for (const auto& [name, value] : request.order.env)
    environment.emplace_back(to_json(name + "=" + value));
  json::object body{{"Image", to_json(request.image)},
                    {"Hostname", to_json(request.hostname)},
                    {"Env", std::move(environment)},
                    {"Labels", labels_of(request)}};
  if (!spec.command.empty()) { // it replaces entrypoint and command of the image
    body["Entrypoint"] = json::array{to_json(spec.command.front())};
    std::vector<std::string> rest(spec.command.begin() + 1, spec.command.end());
    rest.insert(rest.end(), spec.arguments.begin(), spec.arguments.end());
    body["Cmd"] = to_json(rest);
  } else if (!spec.arguments.empty()) {
    body["Cmd"] = to_json(spec.arguments);
  }
  if (!spec.user.empty())
    body["User"] = to_json(spec.user);
  if (!spec.working_directory.empty())
    body["WorkingDir"] = to_json(spec.working_directory);
  if (!spec.stop_signal.empty())
    body["StopSignal"] = to_json(spec.stop_signal);
  body["HostConfig"] = std::move(host);
  return config::json_text(body);
}

std::optional<engine_container> parse_engine_container(std::string_view body) {
  const auto object = parse_object(body);
  if (!object || text_in(*object, "Id").empty())
    return std::nullopt;
  const auto& state = object_in(*object, "State");
  engine_container container;
  container.id = text_in(*object, "Id");
  container.is_running = flag_in(state, "Running");
  container.pid = container.is_running ? number_in(state, "Pid") : 0;
  container.exit_code = static_cast<std::int32_t>(std::clamp<std::int64_t>(number_in(state, "ExitCode"), 0, 255));
  container.out_of_memory = flag_in(state, "OOMKilled");
  if (const auto started = config::parse_time(text_in(state, "StartedAt")))
    container.started_at_ms = unix_time_ms(*started);
  const auto status = text_in(state, "Status");
  container.was_started = container.is_running || (status != "created" && status != "configured" && status != "initialized");
  container.memory_limit_bytes = number_in(object_in(*object, "HostConfig"), "Memory");
  container.monitor_pid = number_in(state, "ConmonPid");
  container.labels = labels_in(object_in(*object, "Config"));
  return container;
}

process_end end_of(const engine_container& container) {
  return parse_exit_file(std::to_string(container.exit_code)).value_or(process_end{});
}

std::optional<std::vector<engine_listed>> parse_engine_list(std::string_view body) {
  const auto list = parse(body);
  if (!list || !list->is_array())
    return std::nullopt;
  std::vector<engine_listed> found;
  for (const auto& x : list->get_array())
    if (x.is_object() && !text_in(x.get_object(), "Id").empty())
      found.push_back({text_in(x.get_object(), "Id"), labels_in(x.get_object())});
  return found;
}

std::string list_target(const std::string& agent) {
  const json::object filters{{"label", json::array{to_json(std::string{label_agent} + "=" + agent)}}};
  return "/containers/json?all=true&filters=" + percent_encoded(config::json_text(filters));
}

std::optional<storage::container_record> record_of(const std::map<std::string, std::string>& labels) {
  const auto name = labels.find(std::string{label_container});
  const auto hash = labels.find(std::string{label_spec_hash});
  const auto generation = number_of_label<std::uint64_t>(labels, label_generation);
  if (name == labels.end() || name->second.empty() || hash == labels.end() || !generation)
    return std::nullopt;
  storage::container_record record;
  record.name = name->second;
  record.generation = *generation;
  record.spec_hash = hash->second;
  record.driver = config::driver_kind::engine;
  const auto stop = labels.find(std::string{label_stop_signal});
  record.stop_signal = config::stop_signal(stop == labels.end() ? std::string{} : stop->second);
  return record;
}

std::string parse_engine_id(std::string_view body) {
  const auto object = parse_object(body);
  return object ? text_in(*object, "Id") : std::string{};
}

// -- commands in containers ----------------------------------------------------------------------------------------------

std::string exec_body(const std::vector<std::string>& command, bool has_input, bool has_terminal) {
  return config::json_text(json::object{{"AttachStdin", has_input},
                                        {"AttachStdout", true},
                                        {"AttachStderr", true},
                                        {"Tty", has_terminal},
                                        {"Cmd", to_json(command)}});
}

std::optional<engine_command> parse_engine_command(std::string_view body) {
  const auto object = parse_object(body);
  if (!object || object->if_contains("Running") == nullptr)
    return std::nullopt;
  const auto* code = object->if_contains("ExitCode");
  const bool is_running = flag_in(*object, "Running");
  return engine_command{is_running, !is_running && code != nullptr && code->is_int64(), number_in(*object, "Pid"),
                        static_cast<std::int32_t>(std::clamp<std::int64_t>(number_in(*object, "ExitCode"), 0, 255))};
}

std::string percent_encoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (is_plain) {
      encoded += c;
    } else {
      encoded += '%';
      encoded += "0123456789ABCDEF"[byte >> 4];
      encoded += "0123456789ABCDEF"[byte & 15];
    }
  }
  return encoded;
}

} // namespace prunella::actors
