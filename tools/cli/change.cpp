// The commands that change what runs, and the check of files they begin with.

#include <algorithm>
#include <istream>
#include <iterator>
#include <ostream>
#include <sstream>

#include "config/json.hpp"
#include "config/limits.hpp"
#include "config/reader.hpp"
#include "config/text_file.hpp"
#include "net/http_router.hpp"
#include "tools/cli/api.hpp"
#include "tools/cli/verbs.hpp"
#include "tools/cli/wait.hpp"

namespace prunella::tools {

namespace {

std::string count(std::size_t n, const char* one) {
  return std::to_string(n) + ' ' + one + (n == 1 ? "" : "s");
}

/// Standard input may take its time, and is cut off behind what the reader takes: that then says what is wrong.
std::string read_limited(std::istream& in) {
  std::string text;
  char bytes[4096];
  while (text.size() <= config::limits::file_bytes && (in.read(bytes, sizeof bytes) || in.gcount() > 0))
    text.append(bytes, static_cast<std::size_t>(in.gcount()));
  return text;
}

/// Documents of all files; prints every problem. Nothing if there was one.
std::optional<std::vector<config::document>> read_files(const std::vector<std::string>& files, terminal& io) {
  std::vector<config::document> documents;
  std::size_t problems = 0;
  std::size_t bad_files = 0;
  for (const auto& name : files) {
    const bool is_input = name == "-";
    auto file = is_input ? config::text_file{read_limited(io.in), {}}
                         : config::read_text_file(name, {config::limits::file_bytes});
    if (!file.error.empty()) {
      io.err << printable(name.empty() ? "``" : name) << ": " << file.error << '\n';
      ++problems;
      ++bad_files;
      continue;
    }
    auto read = config::read_documents(file.text, is_input ? "<stdin>" : name);
    for (const auto& problem : read.problems)
      io.err << printable(config::problem_text(problem)) << '\n';
    problems += read.problems.size();
    bad_files += read.problems.empty() ? 0 : 1;
    std::move(read.documents.begin(), read.documents.end(), std::back_inserter(documents));
  }
  if (problems == 0)
    return documents;
  io.err << "prunella: " << count(problems, "problem") << " in " << count(bad_files, "file") << '\n';
  return std::nullopt;
}

std::string full_name(const config::application_spec& spec) {
  return spec.tenant + '.' + spec.name;
}

std::string text_member(const boost::json::value& value, boost::json::string_view key) {
  const auto* object = value.if_object();
  const auto* member = object ? object->if_contains(key) : nullptr;
  return member && member->is_string() ? std::string(member->get_string().data(), member->get_string().size()) : "";
}

/// 0 where there is none.
std::uint64_t number_member(const boost::json::value& value, boost::json::string_view key) {
  const auto* object = value.if_object();
  const auto* member = object ? object->if_contains(key) : nullptr;
  boost::json::error_code error;
  const auto number = member ? member->to_number<std::uint64_t>(error) : 0;
  return error ? 0 : number;
}

/// `default.popcorn` for `popcorn`.
std::string with_tenant(const std::string& application) {
  return application.find('.') == std::string::npos ? "default." + application : application;
}

/// Nothing if it was refused, which then was said.
std::optional<applied_application> apply_application(const config::application_spec& spec,
                                                     const connection_options& connection, terminal& io) {
  boost::json::object body;
  body["kind"] = "application";
  const auto fields = config::to_json(spec);
  for (const auto& member : fields.get_object())
    body.insert_or_assign(member.key(), member.value());
  const auto result = call_api(connection, "PUT", application_path(full_name(spec)), config::json_text(body));
  if (!result.error.empty()) {
    io.err << result.error;
    return std::nullopt;
  }
  auto outcome = text_member(result.value, "result");
  if (outcome.empty())
    outcome = result.status == 201 ? "created" : "applied";
  io.out << "application " << full_name(spec) << ' ' << outcome << '\n' << std::flush;
  return applied_application{full_name(spec), number_member(result.value, "revision")};
}

/// Nothing if it has no persistent volumes.
std::string volumes_left(const std::string& application, const config::application_spec& spec) {
  std::string text;
  for (const auto& service : spec.services)
    for (const auto& container : service.containers)
      for (const auto& volume : container.volumes)
        if (volume.kind == config::volume_kind::persistent)
          text += "\n  DATA_DIR/volumes/" + application + '.' + service.name + "-N/" + volume.name;
  return text.empty() ? text : "; its persistent volumes stay on the hosts that have them (`prunella get events` names those), until somebody removes" + text;
}

/// Sends a change; prints `done` where it succeeds.
int change(const connection_options& connection, const char* method, const std::string& target, const std::string& body,
           bool repeatable, const std::string& done, terminal& io) {
  const auto result = call_api(connection, method, target, body, repeatable);
  if (result.error.empty())
    io.out << done << '\n';
  else
    io.err << result.error;
  return result.error.empty() ? exit_ok : exit_failed;
}

/// Nothing if there is none, or no answer, which then was said.
std::optional<actors::application_view> the_application(const connection_options& connection, const std::string& name,
                                                        terminal& io) {
  auto found = get_from_api<std::vector<actors::application_view>>(
    connection, "/v1/applications?application=" + net::percent_encode(name), io);
  if (!found)
    return std::nullopt;
  if (found->empty()) {
    io.err << "prunella: there is no application " << printable(name)
           << "\n  fix: `prunella get applications` lists what there is\n";
    return std::nullopt;
  }
  return std::move(found->front());
}

} // namespace

int run_apply(const apply_options& options, terminal& io) {
  const auto documents = read_files(options.files, io);
  if (!documents)
    return exit_failed;
  std::vector<applied_application> applied;
  for (const auto& document : *documents) {
    if (document.kind == config::document_kind::site) {
      io.err << "site " << document.site.name
             << " skipped: a site is not applied; `prunella site up -f FILE` starts it\n";
      continue;
    }
    auto done = apply_application(document.application, options.connection, io);
    if (!done)
      return exit_failed;
    applied.push_back(std::move(*done));
  }
  if (!applied.empty())
    return options.wait ? wait_until_running(applied, options, io) : exit_ok;
  io.err << "prunella: there is no application in " << (options.files.size() == 1 ? options.files[0] : "these files")
         << "\n  fix: add a document with `kind: application`\n";
  return exit_failed;
}

int run_scale(const scale_options& options, terminal& io) {
  const auto slash = options.service.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == options.service.size() ||
      options.service.find('/', slash + 1) != std::string::npos) {
    io.err << "prunella: `" << printable(options.service)
           << "` is not APPLICATION/SERVICE\n  fix: name both, as in `prunella scale popcorn/web 3`\n";
    return exit_usage;
  }
  const auto application = with_tenant(options.service.substr(0, slash));
  const auto service = options.service.substr(slash + 1);
  boost::json::object body;
  body["service"] = service;
  body["replicas"] = options.replicas;
  return change(options.connection, "POST", application_path(application) + "/scale", config::json_text(body), true,
                "service " + application + '/' + service + " scaled to " + count(options.replicas, "replica"), io);
}

int run_rollback(const rollback_options& options, terminal& io) {
  const auto application = with_tenant(options.application);
  const auto now = the_application(options.connection, application, io);
  if (!now)
    return exit_failed;
  boost::json::object body;
  body["revision"] = now->revision;
  return change(options.connection, "POST", application_path(application) + "/rollback", config::json_text(body), true,
                "application " + application + " goes back from version " + printable(now->version)
                  + (now->previous_version.empty() ? std::string{} : " to version " + printable(now->previous_version)),
                io);
}

namespace {

int restart_service(const restart_options& options, const std::string& application, const std::string& service, terminal& io) {
  const auto now = the_application(options.connection, application, io);
  if (!now)
    return exit_failed;
  boost::json::object body;
  body["service"] = service;
  body["revision"] = now->revision;
  return change(options.connection, "POST", application_path(application) + "/restart", config::json_text(body), true,
                "service " + printable(application + '/' + service) + " restarts, one instance after the other as in an update", io);
}

int restart_instance(const restart_options& options, const std::string& instance, terminal& io) {
  const auto application = instance.substr(0, instance.rfind('.'));
  const auto found = get_from_api<std::vector<actors::instance_view>>(
    options.connection, "/v1/instances?application=" + net::percent_encode(application), io);
  if (!found)
    return exit_failed;
  const auto row = std::find_if(found->begin(), found->end(), [&](const auto& x) { return x.name == instance; });
  if (row == found->end()) {
    io.err << "prunella: there is no instance " << printable(instance) << "\n  fix: `prunella get instances` lists what there is\n";
    return exit_failed;
  }
  boost::json::object body;
  body["generation"] = row->generation;
  return change(options.connection, "POST", "/v1/instances/" + net::percent_encode(instance) + "/restart", config::json_text(body), true,
                "instance " + instance + (row->state == "finished" ? " runs again" : " restarts on " + printable(row->host)), io);
}

} // namespace

int run_restart(const restart_options& options, terminal& io) {
  const auto& what = options.what;
  const auto slash = what.find('/');
  if (slash != std::string::npos && slash != 0 && slash + 1 < what.size() && what.find('/', slash + 1) == std::string::npos)
    return restart_service(options, with_tenant(what.substr(0, slash)), what.substr(slash + 1), io);
  const auto dots = std::count(what.begin(), what.end(), '.');
  if (slash == std::string::npos && (dots == 1 || dots == 2))
    return restart_instance(options, dots == 1 ? "default." + what : what, io);
  io.err << "prunella: `" << printable(what) << "` is neither APPLICATION/SERVICE nor an instance\n"
         << "  fix: name one, as in `prunella restart popcorn/web` or `prunella restart popcorn.web-1`\n";
  return exit_usage;
}

int run_drain(const drain_options& options, terminal& io) {
  const auto done = options.drained ? " drains: what runs there ends, one after the other, and begins elsewhere; `prunella get hosts` says `drained` when all has"
                                    : " takes instances again; what left it stays where it is";
  return change(options.connection, "POST", "/v1/hosts/" + net::percent_encode(options.host) + (options.drained ? "/drain" : "/undrain"), {},
                true, "host " + printable(options.host) + done, io);
}

int run_delete(const delete_options& options, terminal& io) {
  const auto application = with_tenant(options.application);
  // Before it is gone; what cannot be read now is only not spoken of.
  const auto before = call_api(options.connection, "GET", application_path(application));
  config::application_spec spec;
  const bool is_known = before.error.empty() && config::from_json(before.value, spec).empty();
  return change(options.connection, "DELETE", application_path(application), {}, true,
                "application " + application + " deleted" + (is_known ? volumes_left(application, spec) : std::string{}), io);
}

int run_kill(const path_options& options, terminal& io) {
  boost::json::object body;
  body["path"] = options.path;
  return change(options.connection, "POST", "/v1/actors/kill", config::json_text(body), false,
                "actor " + options.path + " killed", io);
}

int run_validate(const validate_options& options, terminal& io) {
  const auto documents = read_files(options.files, io);
  if (!documents)
    return exit_failed;
  for (const auto& document : *documents) {
    if (document.kind == config::document_kind::site)
      io.out << "site " << document.site.name << ": valid, " << count(document.site.hosts.size(), "host") << '\n';
    else
      io.out << "application " << full_name(document.application) << ": valid, "
             << count(document.application.services.size(), "service") << '\n';
  }
  return exit_ok;
}

} // namespace prunella::tools
