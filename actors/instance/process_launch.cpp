// The starting half of process.hpp.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <tuple>

#include "actors/instance/proc_filesystem.hpp"
#include "actors/instance/process.hpp"
#include "actors/instance/spawn_plan.hpp"

namespace prunella::actors {

namespace {

std::string quoted(std::string_view text) {
  return "`" + std::string{text} + "`";
}

std::string error_text(int number) {
  return std::strerror(number);
}

bool is_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

driver_failure not_executable(const std::string& path, std::string_view why) {
  return {driver_errc::command_not_executable,
          quoted(path) + " cannot be executed: " + std::string{why}
            + "; it has to be a program for this machine with execute permission for the agent's user"};
}

// An open descriptor >= 3, so that placing others on 0, 1 and 2 cannot overwrite it.
unique_fd above_standard(unique_fd fd) {
  if (!fd || fd.get() > STDERR_FILENO)
    return fd;
  return unique_fd{::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1)};
}

driver_result<unique_fd> open_log(const std::string& path) {
  auto fd = above_standard(unique_fd{::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640)});
  if (!fd)
    return driver_failure{driver_errc::data_directory_unusable,
                          "the log file " + quoted(path) + " cannot be opened for writing: " + error_text(errno)};
  return fd;
}

driver_result<unique_fd> open_directory(const std::string& path) {
  auto fd = above_standard(unique_fd{::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)});
  if (!fd || ::access(path.c_str(), X_OK) != 0)
    return driver_failure{driver_errc::working_directory_missing,
                          "the working directory " + quoted(path) + " cannot be entered: " + error_text(errno)
                            + "; create it on this host or leave `working-directory` out to use the container's own folder"};
  return fd;
}

// An agent that protects itself from the out-of-memory killer must not pass that on to what it runs.
void reset_oom_score(pid_t pid) {
  char own[16] = {};
  unique_fd read_own{::open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC)};
  if (!read_own || ::read(read_own.get(), own, sizeof own - 1) <= 0 || std::strncmp(own, "0\n", 2) == 0)
    return;
  unique_fd child{::open(("/proc/" + std::to_string(pid) + "/oom_score_adj").c_str(), O_WRONLY | O_CLOEXEC)};
  if (child && ::write(child.get(), "0", 1) < 0)
    return; // lowering needs CAP_SYS_RESOURCE: a positive score stays, which only makes the container a likelier victim
}

} // namespace

std::string path_of(const std::vector<std::string>& environment) {
  for (const auto& variable : environment)
    if (variable.rfind("PATH=", 0) == 0)
      return variable.substr(5);
  return std::string{default_path};
}

driver_failure spawn_failure(const std::string& path, int number) {
  switch (number) {
    case EAGAIN:
    case ENOMEM:
    case ENFILE:
    case EMFILE:
      return {driver_errc::fork_failed, "the operating system refused another process: " + error_text(number)
                                          + "; see the limits of the agent (`ulimit -u -n`) and the host's free memory"};
    case E2BIG:
      return {driver_errc::invalid_request, "command and environment of " + quoted(path) + " are longer than the operating "
                                              "system takes: shorten them or move data to a file"};
    case ENOENT: // the file itself was seen a moment ago
      return not_executable(path, "its interpreter (`#!` line) or dynamic loader does not exist");
    default:
      return not_executable(path, error_text(number));
  }
}

driver_result<std::string> resolve_command(const std::string& command, std::string_view path,
                                           const std::string& working_directory) {
  if (command.find('/') != std::string::npos) {
    const std::string file = command.front() == '/' ? command : working_directory + "/" + command;
    if (!is_file(file))
      return driver_failure{driver_errc::command_not_found, "the command " + quoted(file) + " does not exist on this host"};
    if (::access(file.c_str(), X_OK) != 0)
      return not_executable(file, error_text(errno));
    return file;
  }
  std::string not_permitted;
  for (std::string_view rest = path; !rest.empty();) {
    const auto directory = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(directory.size() + 1, rest.size()));
    if (directory.empty() || directory.front() != '/')
      continue; // relative entries would mean the container's scratch folder, which nobody wants to run programs from
    std::string file = std::string{directory} + "/" + command;
    if (!is_file(file))
      continue;
    if (::access(file.c_str(), X_OK) == 0)
      return file;
    not_permitted = std::move(file);
  }
  if (!not_permitted.empty())
    return not_executable(not_permitted, error_text(EACCES));
  return driver_failure{driver_errc::command_not_found,
                        "the command " + quoted(command) + " was not found in PATH=" + std::string{path}
                          + "; install it on this host or give its absolute path"};
}

std::optional<driver_failure> check_order(const container_order& order) {
  const auto refuse = [&](const std::string& what) {
    return driver_failure{driver_errc::invalid_request, "container " + quoted(order.name) + ": " + what};
  };
  const auto& [name, instance] = std::tie(order.name, order.instance);
  if (name.empty() || name.find('/') != std::string::npos || name.front() == '.' || name.size() > 255)
    return refuse("the name must have 1 to 255 bytes, no `/`, and not begin with a dot: it names a folder");
  if (instance.empty())
    return refuse("its instance has no name");
  const bool has_own = order.spec.image.empty() || !order.spec.command.empty();
  if (has_own && (order.spec.command.empty() || order.spec.command.front().empty()))
    return refuse("`command` is empty; give the program and its arguments as a list");
  for (const auto* words : {&order.spec.command, &order.spec.arguments})
    for (const auto& argument : *words)
      if (argument.find('\0') != std::string::npos)
        return refuse("an argument of `command` holds a NUL byte, which no program can be given");
  for (const auto& [variable, value] : order.env) {
    if (variable.empty() || variable.find('=') != std::string::npos || variable.find('\0') != std::string::npos)
      return refuse("the variable name `" + variable + "` is not possible: it must not be empty or hold `=` or NUL");
    if (value.find('\0') != std::string::npos)
      return refuse("the value of variable `" + variable + "` holds a NUL byte");
  }
  return std::nullopt;
}

driver_result<process_handle> launch_process(const launch_request& request) {
  auto directory = open_directory(request.working_directory);
  if (auto* failure = std::get_if<driver_failure>(&directory))
    return std::move(*failure);
  auto file = resolve_command(request.command.front(), path_of(request.environment), request.working_directory);
  if (auto* failure = std::get_if<driver_failure>(&file))
    return std::move(*failure);
  auto output = open_log(request.output_path);
  if (auto* failure = std::get_if<driver_failure>(&output))
    return std::move(*failure);
  auto error = open_log(request.error_path);
  if (auto* failure = std::get_if<driver_failure>(&error))
    return std::move(*failure);

  // Without waiting for a writer of it: one that ordered it so is there, or its input is at its end.
  const unique_fd input{request.input_path.empty() ? -1 : ::open(request.input_path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)};
  spawn_plan plan;
  if (input && ::fcntl(input.get(), F_SETFL, O_RDONLY) == 0)
    ::posix_spawn_file_actions_adddup2(plan.files(), input.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_addfchdir_np(plan.files(), std::get<unique_fd>(directory).get());
  ::posix_spawn_file_actions_adddup2(plan.files(), std::get<unique_fd>(output).get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(plan.files(), std::get<unique_fd>(error).get(), STDERR_FILENO);
  ::posix_spawn_file_actions_addclosefrom_np(plan.files(), STDERR_FILENO + 1);
  const auto& path = std::get<std::string>(file);
  pid_t pid = 0;
  const int failed = plan.run(path, request.command, request.environment, pid);
  if (failed != 0)
    return spawn_failure(path, failed);
  return open_child(pid);
}

driver_result<process_handle> open_child(pid_t pid) {
  process_handle process;
  process.pid = pid;
  // Until we collect it nobody can reuse the number, so what pidfd_open and /proc say next is about this child.
  process.pidfd = open_pidfd(process.pid);
  const int pidfd_error = errno;
  const auto stat = read_proc_stat(process.pid);
  if (!process.pidfd || !stat) {
    ::kill(-process.pid, SIGKILL);
    ::waitpid(process.pid, nullptr, 0);
    return driver_failure{driver_errc::fork_failed,
                          "the new process could not be watched (pidfd_open: " + error_text(pidfd_error)
                            + "); Linux 5.4 or newer, a mounted /proc and a free file descriptor are needed"};
  }
  process.start_ticks = stat->start_ticks;
  reset_oom_score(process.pid);
  return process;
}

} // namespace prunella::actors
