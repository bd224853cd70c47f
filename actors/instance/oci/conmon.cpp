#include "actors/instance/oci/conmon.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>

#include "actors/instance/oci/leftovers.hpp"
#include "actors/instance/spawn_plan.hpp"
#include "config/json.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;

constexpr int sync_fd = 3; // in conmon
constexpr std::size_t max_report_bytes = 64 * 1024;
constexpr std::size_t shown_words = 500;

driver_failure failed(const std::string& what) {
  return {driver_errc::runtime_failed, what};
}

/// `time="…" level=error msg="runc create failed: …: exec: \"x\": stat x: no such file"` → the message; of several
/// lines the last that has one.
std::string message_of(std::string_view words) {
  const auto at = words.rfind("msg=\"");
  if (at == std::string_view::npos)
    return std::string{words};
  std::string message;
  for (auto i = at + 5; i < words.size() && words[i] != '"'; ++i) {
    if (words[i] == '\\' && i + 1 < words.size())
      ++i;
    message += words[i];
  }
  return message;
}

std::string cleaned(std::string text) {
  for (const std::string_view prefix : {"runc create failed: ", "runc start failed: ", "exec failed: ", "container_linux.go", "unable to start container process: "})
    if (text.rfind(prefix, 0) == 0)
      text.erase(0, prefix.size());
  std::replace_if(text.begin(), text.end(), [](char c) { return c >= 0 && c < ' '; }, ' ');
  text.erase(text.find_last_not_of(' ') + 1);
  return text.substr(0, shown_words);
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// runc's `error mounting "SOURCE" to rootfs at "TARGET": mount SOURCE:TARGET (via …), flags: …: REASON`, without the paths of this
/// start: they are others at the next one, which would not be seen to fail for the same reason.
std::optional<driver_failure> explain_mount(const std::string& words) {
  constexpr std::string_view before = "error mounting \"";
  constexpr std::string_view between = "\" to rootfs at \"";
  const auto source = words.find(before);
  const auto target = source == std::string::npos ? source : words.find(between, source);
  const auto end = target == std::string::npos ? target : words.find("\": ", target + between.size());
  if (end == std::string::npos)
    return std::nullopt;
  const auto path = words.substr(target + between.size(), end - target - between.size());
  const auto details = words.substr(end + 3);
  const std::string what = "what is to be at `" + cleaned(path) + "` cannot be mounted there: ";
  if (contains(details, "not a directory"))
    return failed(what + "a file cannot take the place of a folder of the image, nor a folder that of a file; choose another path");
  if (contains(details, "inside /proc"))
    return failed(what + "nothing can be in /proc; choose another path");
  const auto last = details.rfind(": ");
  return failed(what + cleaned(last == std::string::npos ? details : details.substr(last + 2)));
}

/// Reads the report from `pipe` until it is one, the pipe ends or time is up.
std::string read_report(int pipe, milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  std::string text;
  while (text.size() < max_report_bytes && text.find('\n') == std::string::npos) {
    const auto left = std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now());
    pollfd entry{pipe, POLLIN, 0};
    if (left.count() <= 0 || (::poll(&entry, 1, static_cast<int>(left.count())) < 0 && errno != EINTR))
      break;
    std::array<char, 4096> buffer{};
    const auto n = entry.revents == 0 ? 0 : ::read(pipe, buffer.data(), buffer.size());
    if (entry.revents != 0 && n <= 0)
      break;
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return text;
}

} // namespace

std::string conmon_pid_path(const std::string& bundle) {
  return bundle + "/conmon.pid";
}

std::string container_pid_path(const std::string& bundle) {
  return bundle + "/container.pid";
}

std::vector<std::string> conmon_command(const conmon_request& request) {
  std::vector<std::string> command{request.conmon,
                                   "--cid", request.id,
                                   "--cuuid", request.id,
                                   "--name", request.id,
                                   "--runtime", request.runtime,
                                   "--runtime-arg", "--root",
                                   "--runtime-arg", request.runtime_root,
                                   "--bundle", request.bundle,
                                   "--conmon-pidfile", conmon_pid_path(request.bundle),
                                   "--container-pidfile", container_pid_path(request.bundle),
                                   "--exit-dir", request.exit_folder,
                                   "--log-path", "k8s-file:" + request.log_path,
                                   "--log-level", "error",
                                   "--no-sync-log", // an end must not wait for the disk
                                   "--full-attach"};
  if (request.has_input)
    command.emplace_back("--stdin");
  if (request.log_cap_bytes > 0)
    command.insert(command.end(), {"--log-size-max", std::to_string(request.log_cap_bytes)});
  return command;
}

std::int64_t conmon_log_cap(const config::log_spec& bounds) { return 2 * bounds.max_size_bytes; }

std::int64_t conmon_log_cap_of(std::string_view command_line) {
  const std::string_view key{"\0--log-size-max\0", 16};
  const auto found = command_line.find(key);
  std::int64_t cap = 0;
  if (found != std::string_view::npos)
    std::from_chars(command_line.data() + found + key.size(), command_line.data() + command_line.size(), cap);
  return cap;
}

std::optional<conmon_report> parse_conmon_report(std::string_view text) {
  const auto line = text.substr(0, text.find('\n'));
  const auto parsed = config::parse_json(line);
  if (!parsed.error.empty() || !parsed.value.is_object())
    return std::nullopt;
  const auto& object = parsed.value.get_object();
  const auto* pid = object.if_contains("pid");
  if (pid == nullptr)
    pid = object.if_contains("data"); // conmon before 2.0
  if (pid == nullptr || !pid->is_int64())
    return std::nullopt;
  conmon_report report;
  report.pid = static_cast<pid_t>(std::clamp<std::int64_t>(pid->get_int64(), -1, 1 << 30));
  const auto* message = object.if_contains("message");
  if (message != nullptr && message->is_string())
    report.message = std::string(message->get_string().data(), message->get_string().size());
  return report;
}

driver_failure explain_runtime(std::string_view words) {
  const auto message = message_of(words);
  if (auto mount = explain_mount(message))
    return *std::move(mount);
  const auto text = cleaned(message);
  const bool of_command = contains(text, "exec: \"") || contains(text, "exec `") || contains(text, "executable file")
                          || contains(text, "open executable"); // crun's words
  if (of_command && (contains(text, "no such file") || contains(text, "not found")))
    return {driver_errc::command_not_found, "the command is not in the image: " + text};
  if (of_command && (contains(text, "ermission denied") || contains(text, "format error") || contains(text, "is a directory")))
    return {driver_errc::command_not_executable,
            "the command cannot be executed in the image: " + text
              + "; it has to be a program for this machine with execute permission for the container's user"};
  if (contains(text, "chdir to cwd"))
    return {driver_errc::working_directory_missing, "the working directory cannot be entered: " + text
                                                      + "; correct `working-directory`, or leave it out to use the image's"};
  if (contains(text, "hybrid mode not supported")) // crun, where cgroup v2 has controllers beside v1
    return failed("the runtime could not start the container: " + text
                  + "; use runc on this host (`drivers: [{kind: oci, runtime: /usr/sbin/runc}]`, of an engine its own setting), or start "
                    "its kernel with one version of cgroups");
  return failed("the runtime could not start the container: " + (text.empty() ? std::string{"it gave no reason"} : text));
}

std::optional<process_end> parse_exit_file(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
    text.remove_suffix(1);
  int code = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), code);
  if (error != std::errc{} || at != text.data() + text.size() || code < 0 || code > 255)
    return std::nullopt;
  process_end end;
  end.known = true;
  (code > 128 && code <= 128 + 64 ? end.signal : end.exit_code) = code > 128 && code <= 128 + 64 ? code - 128 : code;
  return end;
}

driver_result<conmon_report> launch_conmon(const conmon_request& request, milliseconds patience) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return driver_failure{driver_errc::fork_failed, std::string{"there is no pipe for conmon: "} + std::strerror(errno)};
  const unique_fd reading{ends[0]};
  unique_fd writing{ends[1]};
  if (writing.get() == sync_fd) // dup2 onto itself would leave it close-on-exec
    writing = unique_fd{::fcntl(writing.get(), F_DUPFD_CLOEXEC, sync_fd + 1)};
  spawn_plan plan;
  ::posix_spawn_file_actions_addchdir_np(plan.files(), request.bundle.c_str());
  ::posix_spawn_file_actions_addopen(plan.files(), STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(plan.files(), STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(plan.files(), writing.get(), sync_fd);
  ::posix_spawn_file_actions_addclosefrom_np(plan.files(), sync_fd + 1);
  pid_t pid = 0;
  const auto command = conmon_command(request);
  const int error = plan.run(
    command.front(), command,
    {"_OCI_SYNCPIPE=" + std::to_string(sync_fd), "PATH=" + std::string{default_path}, start_variable(request.bundle)}, pid);
  if (error != 0)
    return failed("conmon could not be started as " + request.conmon + ": " + std::strerror(error)
                  + "; install Debian's package conmon");
  writing.reset();
  ::waitpid(pid, nullptr, 0); // it goes on as a child of nobody
  const auto text = read_report(reading.get(), patience);
  const auto report = parse_conmon_report(text);
  if (!report)
    return failed(text.empty() ? "conmon said nothing about " + request.id + " within " + std::to_string(patience.count()) + " ms"
                               : "conmon said of " + request.id + " what is no report: " + text.substr(0, shown_words));
  if (report->pid <= 0)
    return explain_runtime(report->message);
  return *report;
}

} // namespace prunella::actors
