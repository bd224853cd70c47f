#include "tests/storage/images/real_registry.hpp"

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/images/child_process.hpp"
#include "tests/storage/damage.hpp"
#include "tests/storage/outcome.hpp"

namespace prunella::tests {

namespace {

constexpr int patience_ms = 20'000;

/// The address in the line that says where it listens; "" if the log ended before.
std::string wait_for_address(int log) {
  const std::string words = "listening on ";
  std::string text;
  char buffer[4096];
  pollfd waiting{log, POLLIN, 0};
  while (::poll(&waiting, 1, patience_ms) == 1) {
    const auto got = ::read(log, buffer, sizeof(buffer));
    if (got <= 0)
      return {};
    text.append(buffer, static_cast<std::size_t>(got));
    const auto at = text.find(words);
    const auto end = at == std::string::npos ? at : text.find('"', at);
    if (end != std::string::npos)
      return text.substr(at + words.size(), end - at - words.size());
  }
  return {};
}

} // namespace

real_registry::real_registry(const std::string& folder, const std::string& htpasswd) : folder_{folder} {
  std::filesystem::create_directories(folder);
  std::string config = "version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: " + folder +
                       "/data}}\nhttp: {addr: \"127.0.0.1:0\", secret: test}\n";
  if (!htpasswd.empty()) {
    write_bytes(folder + "/htpasswd", htpasswd + "\n");
    config += "auth: {htpasswd: {realm: test, path: " + folder + "/htpasswd}}\n";
  }
  write_bytes(folder + "/config.yml", config);
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0)
    throw std::runtime_error("no pipe");
  log_ = ends[0];
  const auto path = folder + "/config.yml";
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(ends[1], STDERR_FILENO);
    ::dup2(ends[1], STDOUT_FILENO);
    ::execlp("docker-registry", "docker-registry", "serve", path.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  address_ = wait_for_address(log_);
  if (address_.empty()) {
    stop();
    throw std::runtime_error("docker-registry did not start");
  }
  ::fcntl(log_, F_SETPIPE_SZ, 1 << 20); // nobody reads its log from here on
}

real_registry::~real_registry() {
  stop();
}

void real_registry::stop() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(log_);
}

std::string real_registry::push(const test_image& image, const std::string& name) const {
  const auto layout = folder_ + "/layout-" + image.digest().hex;
  image.write_layout(layout, "1");
  storage::child_order order;
  order.command = {"skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", "oci:" + layout + ":1",
                   "docker://" + address_ + '/' + name};
  order.environment = {"PATH=/usr/bin:/bin", "HOME=" + folder_};
  const auto ended = must(storage::run_child(order));
  if (!ended.succeeded())
    throw std::runtime_error(ended.errors);
  return address_ + '/' + name;
}

} // namespace prunella::tests
