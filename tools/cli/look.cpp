// The commands that only look.

#include <ostream>

#include "config/json.hpp"
#include "config/yaml/writer.hpp"
#include "net/http_router.hpp"
#include "tools/cli/verbs.hpp"
#include "tools/cli/views.hpp"

namespace prunella::tools {

namespace {

/// The path and query of `get`.
std::string target_of(const get_options& options, const std::string& after) {
  std::string target = "/v1/" + options.what;
  char separator = '?';
  const auto add = [&](std::string_view key, const std::string& value) {
    if (value.empty())
      return;
    target += separator + std::string(key) + '=' + net::percent_encode(value);
    separator = '&';
  };
  if (options.what == "instances")
    add("application", options.application);
  if (options.what == "events") {
    add("after", after);
    add("limit", options.limit == 0 ? "" : std::to_string(options.limit));
  }
  return target;
}

bool is_document(output_format format) { return format == output_format::json || format == output_format::yaml; }

void print_document(const boost::json::value& value, output_format format, terminal& io) {
  io.out << (format == output_format::json ? config::pretty_json(value) : config::to_yaml(value));
}

std::string nothing_text(const std::string& what, const std::string& application) {
  if (!application.empty())
    return "no instances of `" + printable(application) + "`: `prunella get applications` lists what there is\n";
  if (what == "applications" || what == "instances")
    return "no " + what + " yet: `prunella apply -f FILE` deploys an application\n";
  if (what == "services")
    return "no service is published: `publish: PORT` at a container's port lets every host answer on it\n";
  if (what == "images")
    return "no images, and no application that needs one: `prunella image import FILE --name NAME` brings one\n";
  if (what == "use/containers")
    return "no containers run: `prunella get instances` says what should\n";
  return "no " + what + "\n";
}

/// Nothing if the answer is not understood, which then was said.
template <class Row>
std::optional<std::vector<Row>> to_rows(const boost::json::value& value, const std::string& what, terminal& io) {
  std::vector<Row> rows;
  const auto problems = config::from_json(value, rows);
  for (const auto& problem : problems)
    io.err << "prunella: the list of " << what << " is not understood: " << problem << '\n';
  if (!problems.empty())
    return std::nullopt;
  return rows;
}

template <class Row>
std::optional<std::string> rows_text(const boost::json::value& value, const get_options& options, terminal& io) {
  const auto rows = to_rows<Row>(value, options.what, io);
  if (!rows)
    return std::nullopt;
  if (rows->empty()) {
    io.err << nothing_text(options.what, options.application);
    return std::string();
  }
  return render(to_table(*rows, io.now()), io.colours, options.output == output_format::wide ? 0 : io.columns);
}

std::optional<std::string> table_text(const boost::json::value& value, const get_options& options, terminal& io) {
  if (options.what == "hosts")
    return rows_text<actors::host_view>(value, options, io);
  if (options.what == "applications")
    return rows_text<actors::application_view>(value, options, io);
  if (options.what == "instances")
    return rows_text<actors::instance_view>(value, options, io);
  if (options.what == "services")
    return rows_text<actors::published_view>(value, options, io);
  if (options.what == "images")
    return rows_text<actors::image_view>(value, options, io);
  if (options.what == "use/hosts")
    return rows_text<actors::host_use_view>(value, options, io);
  if (options.what == "use/containers")
    return rows_text<actors::container_use_view>(value, options, io);
  return rows_text<actors::event_view>(value, options, io);
}

/// Fetches and prints once; `after` moves behind the last event seen.
int look_once(const get_options& options, std::string& after, terminal& io) {
  const auto result = get_all(options.connection, target_of(options, after));
  if (!result.error.empty()) {
    io.err << result.error;
    return exit_failed;
  }
  if (options.what == "events" && options.watch) {
    const auto events = to_rows<actors::event_view>(result.value, options.what, io);
    if (!events)
      return exit_failed;
    if (events->empty())
      return exit_ok;
    after = events->back().id;
  }
  if (is_document(options.output)) {
    print_document(result.value, options.output, io);
    return exit_ok;
  }
  const auto text = table_text(result.value, options, io);
  if (!text)
    return exit_failed;
  if (options.watch && io.interactive && options.what != "events")
    io.out << "\033[H\033[J"; // home and clear: the table stays in place
  io.out << *text;
  return exit_ok;
}

/// Prints `object` under its name as events have it; true if `matches`.
template <class Row>
bool print_if(bool matches, const std::string& name, const Row& object, terminal& io) {
  if (!matches)
    return false;
  boost::json::object document;
  document["object"] = name;
  const auto fields = config::to_json(object);
  for (const auto& member : fields.get_object())
    document.insert_or_assign(member.key(), member.value());
  io.out << config::to_yaml(document);
  return true;
}

} // namespace

int run_get(const get_options& options, terminal& io) {
  auto after = options.after;
  auto code = look_once(options, after, io);
  while (code == exit_ok && options.watch && io.out.flush() && io.next_look(std::chrono::seconds{1}))
    code = look_once(options, after, io);
  return code;
}

int run_tree(const tree_options& options, terminal& io) {
  if (options.actors) {
    const auto actors = get_from_api<std::vector<actors::actor_view>>(options.connection, "/v1/actors", io);
    if (actors)
      io.out << render(actor_tree(*actors), io.colours);
    return actors ? exit_ok : exit_failed;
  }
  const auto status = get_from_api<actors::status_view>(options.connection, "/status", io);
  if (!status)
    return exit_failed;
  const auto hosts = get_from_api<std::vector<actors::host_view>>(options.connection, "/v1/hosts", io);
  if (!hosts)
    return exit_failed;
  const auto applications =
      get_from_api<std::vector<actors::application_view>>(options.connection, "/v1/applications", io);
  if (!applications)
    return exit_failed;
  const auto instances = get_from_api<std::vector<actors::instance_view>>(options.connection, "/v1/instances", io);
  if (!instances)
    return exit_failed;
  io.out << render(site_tree(*status, *hosts, *applications, *instances), io.colours);
  return exit_ok;
}

int run_status(const status_options& options, terminal& io) {
  const auto result = call_api(options.connection, "GET", "/status");
  if (!result.error.empty()) {
    io.err << result.error;
    return exit_failed;
  }
  if (is_document(options.output)) {
    print_document(result.value, options.output, io);
    return exit_ok;
  }
  actors::status_view status;
  for (const auto& problem : config::from_json(result.value, status)) {
    io.err << "prunella: the status is not understood: " << problem << '\n';
    return exit_failed;
  }
  io.out << status_text(status, io.now(), io.colours);
  return exit_ok;
}

int run_inspect(const path_options& options, terminal& io) {
  const auto& path = options.path;
  const auto hosts = get_from_api<std::vector<actors::host_view>>(options.connection, "/v1/hosts", io);
  if (!hosts)
    return exit_failed;
  for (const auto& host : *hosts)
    if (print_if(host.id == path, "host/" + host.id, host, io))
      return exit_ok;
  const auto applications =
      get_from_api<std::vector<actors::application_view>>(options.connection, "/v1/applications", io);
  if (!applications)
    return exit_failed;
  for (const auto& application : *applications)
    if (print_if(full_name(application) == path || "default." + path == full_name(application),
                 "application/" + full_name(application), application, io))
      return exit_ok;
  const auto instances = get_from_api<std::vector<actors::instance_view>>(options.connection, "/v1/instances", io);
  if (!instances)
    return exit_failed;
  for (const auto& instance : *instances)
    if (print_if(instance.name == path || instance.name == "default." + path, "instance/" + instance.name, instance,
                 io))
      return exit_ok;
  const auto actors = get_from_api<std::vector<actors::actor_view>>(options.connection, "/v1/actors", io);
  if (!actors)
    return exit_failed;
  for (const auto& actor : *actors)
    if (print_if(actor.path == path, "actor/" + actor.path, actor, io))
      return exit_ok;
  io.err << "prunella: nothing here is called `" << printable(path)
         << "`\n  fix: use a host id, tenant.application, an instance name (`prunella get instances`) or an actor path "
            "(`prunella tree --actors`)\n";
  return exit_failed;
}

} // namespace prunella::tools
