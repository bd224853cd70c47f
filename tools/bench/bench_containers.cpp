// What it costs that a container died: from the kill to the moment its successor runs, through the driver, for a plain
// process and for an image; beside it a bare `runc run` of such a bundle, in turn with it.
//   bench_containers [FOLDER]   the folder (default /var/tmp) must lie on a file system that overlayfs can write to
// The image is this machine's busybox. Without root, runc and conmon there are only the figures of plain processes.

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>

#include "actors/instance/container_driver.hpp"
#include "actors/instance/images.hpp"
#include "actors/instance/oci/bundle.hpp"
#include "runtime/exit_reason.hpp"
#include "storage/images/root_filesystem.hpp"
#include "storage/mounts.hpp"
#include "tools/bench/figures.hpp"

namespace {

using namespace prunella;
using namespace prunella::actors;
using namespace prunella::bench;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr int rounds = 15;

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "bench_containers: %s\n", why.c_str());
  std::exit(1);
}

/// Forgets what is asked of it: the bench does not outlive its containers.
class no_records : public storage::container_records {
public:
  storage::result<void> put(const storage::container_record&) override { return {}; }
  storage::result<void> erase(const std::string&) override { return {}; }
  storage::result<std::vector<storage::container_record>> list() override { return std::vector<storage::container_record>{}; }
};

void shell(const std::string& command) {
  if (std::system(command.c_str()) != 0)
    stop("`" + command + "` failed");
}

/// A folder with busybox and what it needs, as the one layer of an image.
provided_image make_image(const std::string& folder) {
  const auto layer = folder + "/layer";
  shell("mkdir -p " + layer + "/bin " + layer + "/proc " + layer + "/sys " + layer + "/dev && cp /bin/busybox " + layer + "/bin/ && "
        "for f in $(ldd /bin/busybox 2>/dev/null | grep -o '/[^ ]*'); do mkdir -p " + layer + "$(dirname $f) && cp $f " + layer + "$f; done");
  provided_image image;
  image.layers = {layer};
  image.config.command = {"/bin/busybox", "sleep", "1000"};
  return image;
}

container_order order_of(bool image, std::int64_t cpu_millis = 0) {
  container_order order;
  order.name = "default.bench.main-1.one";
  order.instance = "default.bench.main-1";
  order.generation = 1;
  order.spec.name = "one";
  order.spec.grace = 0ms;
  order.spec.resources.cpu_millis = cpu_millis;
  if (image)
    order.spec.image = "busybox";
  else
    order.spec.command = {"/bin/sleep", "1000"};
  return order;
}

class driver_under_load {
public:
  driver_under_load(const std::string& folder, const provided_image& image) {
    images_ = system_.spawn([image](caf::event_based_actor*) -> caf::behavior {
      return {[image](const provide_image&) { return image; }, [](const keep_holders&) {}};
    });
    container_driver_options options;
    options.data_directory = folder + "/data";
    options.records = std::make_shared<no_records>();
    options.drivers = find_drivers({}).drivers;
    options.images = [this] { return images_; };
    driver_ = spawn_container_driver(system_, options);
  }
  ~driver_under_load() {
    self_->request(driver_, 30s, stop_all_containers{0ms}).receive([] {}, [](const caf::error&) {});
    for (const auto& actor : {driver_, images_})
      self_->send_exit(actor, caf::exit_reason::user_shutdown);
    self_->wait_for(driver_);
  }

  container_started start(const container_order& order) {
    container_started started;
    self_->request(driver_, 60s, start_container{order})
      .receive([&](const container_started& x) { started = x; }, [](const caf::error& why) { stop(runtime::reason_text(why)); });
    return started;
  }

  /// Microseconds from the kill of its process until its successor runs, `rounds` times.
  std::vector<double> restarts(const container_order& order) {
    std::vector<double> took;
    auto running = start(order);
    for (int i = 0; i < rounds; ++i) {
      const auto killed = clock_type::now();
      ::kill(static_cast<pid_t>(running.pid), SIGKILL);
      self_->receive([](const container_exited&) {});
      running = start(order);
      took.push_back(microseconds_since(killed));
    }
    return took;
  }

private:
  caf::actor_system_config config_;
  caf::actor_system system_{config_};
  caf::scoped_actor self_{system_};
  caf::actor images_;
  caf::actor driver_;
};

/// Microseconds of `runc run --detach` with the same config and root.
std::vector<double> bare_runs(const std::string& folder, const provided_image& image) {
  const auto bundle = folder + "/bare";
  fs::create_directories(bundle);
  const auto options = options_of_machine(folder + "/data", {});
  if (const auto failure = make_bundle(order_of(true), image, bundle, "/prunella-bench-bare", {}, options))
    stop(failure->message);
  std::vector<double> took;
  for (int i = 0; i < rounds; ++i) {
    const std::string runc = "runc --root " + folder + "/runc ";
    const auto begin = clock_type::now();
    const bool good = std::system((runc + "run --detach --bundle " + bundle + " bare </dev/null >/dev/null 2>&1").c_str()) == 0;
    took.push_back(microseconds_since(begin));
    shell(runc + "delete --force bare");
    if (!good)
      stop("`runc run` failed");
  }
  static_cast<void>(storage::unmount_all(bundle));
  return took;
}

} // namespace

int main(int argc, char** argv) {
  auto folder = std::string{argc > 1 ? argv[1] : "/var/tmp"} + "/prunella-bench-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr)
    stop("cannot make a folder such as " + folder);
  const auto image = make_image(folder);
  {
    driver_under_load driver{folder, image};
    print("process_restart", median(driver.restarts(order_of(false))) / 1000, "ms");
  }
  if (find_drivers({}).drivers.size() > 1) {
    const auto bare = median(bare_runs(folder, image));
    double restart = 0;
    double limited = 0;
    double narrow = 0;
    {
      driver_under_load driver{folder, image};
      restart = median(driver.restarts(order_of(true)));
      limited = median(driver.restarts(order_of(true, 250)));
      narrow = median(driver.restarts(order_of(true, 10)));
    }
    print("bare_runc_run", bare / 1000, "ms");
    print("image_restart", restart / 1000, "ms");
    print("image_restart_250m", limited / 1000, "ms"); // with a quarter of a core, and with a hundredth
    print("image_restart_10m", narrow / 1000, "ms");
    print("image_restart_to_runc", restart / bare, "ratio");
  } else {
    std::fprintf(stderr, "bench_containers: no figures of images: root, runc and conmon are needed\n");
  }
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  return 0;
}
