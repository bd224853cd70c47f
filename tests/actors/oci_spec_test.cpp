#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "actors/instance/oci/image_user.hpp"
#include "actors/instance/oci/runtime_spec.hpp"
#include "actors/instance/oci/seccomp_profile.hpp"
#include "config/json.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella;
using namespace prunella::actors;
namespace json = boost::json;

namespace {

constexpr std::string_view passwd = "root:x:0:0:root:/root:/bin/sh\n"
                                    "broken line\n"
                                    "www:x:33:34:web:/srv/www:/bin/false\n"
                                    "bad:x:99999999999:1::/:\n"
                                    "odd:x:5:6::relative:\n";
constexpr std::string_view group = "root:x:0:\nadm:x:4:www,other\nwww:x:34:\nmedia:x:44:www\nmedia2:x:44:www\n";

image_user user_of(std::string_view text) {
  auto made = resolve_user(text, passwd, group);
  REQUIRE(std::holds_alternative<image_user>(made));
  return std::get<image_user>(made);
}

std::string refusal(const std::variant<image_user, driver_failure>& outcome) {
  REQUIRE(std::holds_alternative<driver_failure>(outcome));
  return std::get<driver_failure>(outcome).message;
}

runtime_spec_request request() {
  runtime_spec_request made;
  made.image.entrypoint = {"/entry"};
  made.image.command = {"argument"};
  made.root = "/root-fs";
  made.hostname = "web-1";
  return made;
}

json::object spec_of(const runtime_spec_request& asked) {
  auto made = runtime_spec(asked);
  REQUIRE(std::holds_alternative<json::object>(made));
  return std::get<json::object>(made);
}

std::string refusal(const runtime_spec_request& asked) {
  auto made = runtime_spec(asked);
  REQUIRE(std::holds_alternative<driver_failure>(made));
  CHECK(std::get<driver_failure>(made).code == driver_errc::invalid_request);
  return std::get<driver_failure>(made).message;
}

/// The value at `linux.resources.cpu`, on one line.
std::string at(const json::object& document, const std::string& path) {
  const json::value* here = nullptr;
  const json::object* in = &document;
  for (std::size_t from = 0; from <= path.size();) {
    const auto dot = std::min(path.find('.', from), path.size());
    REQUIRE(in != nullptr);
    here = in->if_contains(path.substr(from, dot - from));
    if (here == nullptr)
      return "absent";
    in = here->if_object();
    from = dot + 1;
  }
  return config::json_text(*here);
}

bool contains(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

} // namespace

TEST_CASE("an image's user is resolved by its own passwd and group, names and numbers in any mixture") {
  CHECK(user_of("") == image_user{0, 0, {}, "/root"});
  CHECK(user_of("www") == image_user{33, 34, {4, 44}, "/srv/www"});
  CHECK(user_of("33") == image_user{33, 34, {4, 44}, "/srv/www"});
  CHECK(user_of("1000") == image_user{1000, 0, {}, "/"});
  CHECK(user_of("www:adm") == image_user{33, 4, {}, "/srv/www"});
  CHECK(user_of("www:7") == image_user{33, 7, {}, "/srv/www"});
  CHECK(user_of("1000:media") == image_user{1000, 44, {}, "/"});
  CHECK(user_of(":adm") == image_user{0, 4, {}, "/root"});
  CHECK(user_of("odd").home == "/");
  CHECK(user_of("4294967294").uid == 4294967294u);
}

TEST_CASE("a user or group that is not in the image, or is no number of the kernel's, is refused by its name") {
  CHECK(contains(refusal(resolve_user("nobody", passwd, group)), "no user `nobody` in its /etc/passwd"));
  CHECK(contains(refusal(resolve_user("www:nobody", passwd, group)), "no group `nobody` in its /etc/group"));
  CHECK(contains(refusal(resolve_user("4294967295", passwd, group)), "no user `4294967295`"));
  CHECK(contains(refusal(resolve_user("bad", passwd, group)), "no user `bad`"));
  CHECK(contains(refusal(resolve_user("-1", passwd, group)), "no user `-1`"));
  CHECK(contains(refusal(resolve_user("www:", passwd, group)), "no group ``"));
  CHECK(contains(refusal(resolve_user("www", "", "")), "no user `www`"));
}

TEST_CASE("a container runs as the user of its spec, else of its image, else as root, by the image's own files") {
  const auto uid_of = [](const std::string& of_spec, const std::string& of_image) {
    const auto made = container_user(of_spec, of_image, [](std::string_view path, std::size_t most) {
      CHECK(most == max_user_database);
      return std::string{path == "/etc/passwd" ? passwd : path == "/etc/group" ? group : ""};
    });
    return std::get<image_user>(made).uid;
  };
  CHECK(uid_of("", "www") == 33);
  CHECK(uid_of("7:7", "www") == 7);
  CHECK(uid_of("", "") == 0);
}

TEST_CASE("a file of the image is read as its own processes see it: no link leads out of the root") {
  tests::temporary_folder folder;
  const auto root = folder / "root";
  std::filesystem::create_directories(root + "/etc");
  std::ofstream(folder / "secret") << "outside";
  std::ofstream(root + "/real") << "inside";
  std::filesystem::create_symlink("/real", root + "/etc/passwd");
  std::filesystem::create_symlink("../../secret", root + "/etc/group");
  std::filesystem::create_symlink(folder / "secret", root + "/etc/absolute");
  CHECK(read_in_root(root, "/etc/passwd", 100) == "inside");
  CHECK(read_in_root(root, "etc/passwd", 6) == "inside");
  CHECK(read_in_root(root, "etc/passwd", 5).empty());
  CHECK(read_in_root(root, "/etc/group", 100).empty());
  CHECK(read_in_root(root, "/etc/absolute", 100).empty());
  CHECK(read_in_root(root, "../secret", 100).empty());
  CHECK(read_in_root(root, "/etc", 100).empty());
  CHECK(read_in_root(root, "/none", 100).empty());
}

TEST_CASE("the container's command replaces entrypoint and command of the image, its arguments the command") {
  auto asked = request();
  CHECK(at(spec_of(asked), "process.args") == R"(["/entry","argument"])");
  asked.container.command = {"/own", "x"};
  CHECK(at(spec_of(asked), "process.args") == R"(["/own","x"])");
  asked.container.arguments = {"y"};
  CHECK(at(spec_of(asked), "process.args") == R"(["/own","x","y"])");
  asked.container.command.clear();
  CHECK(at(spec_of(asked), "process.args") == R"(["/entry","y"])");
  asked.container.arguments.clear();
  asked.image.entrypoint.clear();
  CHECK(at(spec_of(asked), "process.args") == R"(["argument"])");
  asked.image.command.clear();
  CHECK(contains(refusal(asked), "set `command`"));
}

TEST_CASE("variables of the order win over those of the image, and those over PATH, HOME and HOSTNAME") {
  auto asked = request();
  asked.user.home = "/home/cook";
  asked.image.environment = {"A=image", "B=image", "EMPTY=", "=odd", "novalue", "PATH=/image"};
  asked.env = {{"B", "order"}, {"C", "a=b"}};
  CHECK(at(spec_of(asked), "process.env") ==
        R"(["A=image","B=order","C=a=b","EMPTY=","HOME=/home/cook","HOSTNAME=web-1","PATH=/image"])");
  asked.env = {{"A=", "x"}};
  CHECK(contains(refusal(asked), "`A=` cannot be set"));
  asked.env = {{"A", std::string("x\0y", 3)}};
  CHECK(contains(refusal(asked), "`A` cannot be set"));
}

TEST_CASE("isolation is the default: short capabilities, no new privileges, masked paths, own namespaces, no devices") {
  const auto document = spec_of(request());
  CHECK(at(document, "process.noNewPrivileges") == "true");
  CHECK(at(document, "process.capabilities.effective") ==
        R"(["CAP_CHOWN","CAP_DAC_OVERRIDE","CAP_FOWNER","CAP_FSETID","CAP_KILL","CAP_NET_BIND_SERVICE","CAP_SETGID",)"
        R"("CAP_SETPCAP","CAP_SETUID"])");
  CHECK(at(document, "process.capabilities.ambient") == "absent");
  CHECK(at(document, "process.capabilities.inheritable") == "absent");
  CHECK(contains(at(document, "linux.maskedPaths"), "/proc/kcore"));
  CHECK(contains(at(document, "linux.readonlyPaths"), "/proc/sys"));
  CHECK(at(document, "linux.namespaces") ==
        R"([{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"},{"type":"cgroup"},{"type":"network"}])");
  CHECK(at(document, "linux.resources.devices") == R"([{"allow":false,"access":"rwm"}])");
  CHECK(at(document, "linux.resources.pids.limit") == "1024");
  CHECK(at(document, "linux.seccomp") == "absent");
  auto other = request();
  other.user.uid = 33;
  other.user.groups = {4, 44};
  CHECK(at(spec_of(other), "process.capabilities.effective") == "[]");
  CHECK(at(spec_of(other), "process.capabilities.permitted") == "[]");
  CHECK(at(spec_of(other), "process.user.additionalGids") == "[4,44]");
}

TEST_CASE("memory and open files become limits, the processor is left to a later moment, and no limit is written where none is asked for") {
  auto asked = request();
  CHECK(at(spec_of(asked), "linux.resources.memory") == "absent");
  CHECK(at(spec_of(asked), "linux.resources.cpu") == "absent");
  CHECK(at(spec_of(asked), "process.rlimits") == "absent");
  asked.container.resources = {250, 64 << 20};
  asked.open_files = 1024;
  CHECK(at(spec_of(asked), "linux.resources.memory") == R"({"limit":67108864})");
  CHECK(at(spec_of(asked), "linux.resources.cpu") == "absent");
  CHECK(at(spec_of(asked), "process.rlimits") == R"([{"type":"RLIMIT_NOFILE","soft":1024,"hard":1024}])");
  asked.swap_is_counted = true;
  CHECK(at(spec_of(asked), "linux.resources.memory") == R"({"limit":67108864,"swap":67108864})");
}

TEST_CASE("a container does not have the protection from the out-of-memory killer that its agent has") {
  auto asked = request();
  CHECK_FALSE(spec_of(asked).at("process").as_object().contains("oomScoreAdj"));
  asked.resets_oom_score = true;
  CHECK(spec_of(asked).at("process").as_object().at("oomScoreAdj") == 0);
}

TEST_CASE("the network is its own, that of the instance or the host's") {
  auto asked = request();
  asked.network = container_network::joined;
  CHECK(contains(refusal(asked), "network namespace `` is not an absolute path"));
  asked.network_path = "/run/netns/x";
  CHECK(contains(at(spec_of(asked), "linux.namespaces"), R"({"type":"network","path":"/run/netns/x"})"));
  CHECK(contains(at(spec_of(asked), "linux.sysctl"), "ip_unprivileged_port_start"));
  asked.network = container_network::host;
  CHECK_FALSE(contains(at(spec_of(asked), "linux.namespaces"), "network"));
  CHECK(at(spec_of(asked), "linux.sysctl") == "absent");
}

TEST_CASE("users of its own are a range of the host's, and what only a network's owner may do is left to who made it") {
  auto asked = request();
  CHECK_FALSE(contains(at(spec_of(asked), "linux.namespaces"), "user"));
  CHECK(at(spec_of(asked), "linux.uidMappings") == "absent");
  asked.users = prunella::storage::id_range{0x7000'0000, 65'536};
  CHECK(contains(at(spec_of(asked), "linux.namespaces"), R"({"type":"user"})"));
  for (const auto* mappings : {"linux.uidMappings", "linux.gidMappings"})
    CHECK(at(spec_of(asked), mappings) == R"([{"containerID":0,"hostID":1879048192,"size":65536}])");
  CHECK(contains(at(spec_of(asked), "mounts"), R"("type":"sysfs")")); // the network is the container's own, with its owner
  CHECK(contains(at(spec_of(asked), "linux.sysctl"), "ip_unprivileged_port_start"));
  asked.network = container_network::joined;
  asked.network_path = "/run/netns/x";
  CHECK_FALSE(contains(at(spec_of(asked), "mounts"), "sysfs"));
  CHECK(contains(at(spec_of(asked), "mounts"), R"("source":"/sys")"));
  CHECK(at(spec_of(asked), "linux.sysctl") == "absent");
  asked.network = container_network::host;
  CHECK_FALSE(contains(at(spec_of(asked), "mounts"), "sysfs"));
}

TEST_CASE("mounts are bound without devices and set-user-id programs, and paths that are not absolute are refused") {
  auto asked = request();
  asked.mounts = {{"/srv/data", "/data", true}};
  CHECK(contains(
      at(spec_of(asked), "mounts"),
      R"({"destination":"/data","type":"bind","source":"/srv/data","options":["rbind","rprivate","nosuid","nodev","ro"]})"));
  asked.mounts = {{"data", "/data", true}};
  CHECK(contains(refusal(asked), "`data` at `/data`"));
  asked.mounts = {{"/data", "/", true}};
  CHECK(contains(refusal(asked), "may not be `/`"));
  asked = request();
  asked.image.working_directory = "srv";
  CHECK(contains(refusal(asked), "`srv` is not absolute"));
  asked.container.working_directory = "/own";
  CHECK(at(spec_of(asked), "process.cwd") == R"("/own")");
  asked.root = "x";
  CHECK(contains(refusal(asked), "`x` is not an absolute path"));
  asked = request();
  asked.container.command = {std::string("a\0b", 3)};
  CHECK(contains(refusal(asked), "NUL"));
}

TEST_CASE("of a seccomp profile the rules stay whose conditions hold") {
  const std::string profile = R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,
    "archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],
    "syscalls":[
      {"names":["read"],"action":"SCMP_ACT_ALLOW","args":[],"comment":"","includes":{},"excludes":{}},
      {"names":["here"],"action":"SCMP_ACT_ALLOW","args":null,"includes":{"arches":["amd64","x32"]}},
      {"names":["elsewhere"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["s390x"]}},
      {"names":["kill"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_KILL"]}},
      {"names":["mount"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}},
      {"names":["mount"],"action":"SCMP_ACT_ERRNO","errnoRet":1,"excludes":{"caps":["CAP_SYS_ADMIN"]}},
      {"names":["unkill"],"action":"SCMP_ACT_ERRNO","excludes":{"caps":["CAP_KILL"]}},
      {"names":["newer"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"4.8"}},
      {"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":16,"op":"SCMP_CMP_NE"}]}]})";
  const auto section = seccomp_section(profile, default_capabilities, "amd64");
  REQUIRE(std::holds_alternative<json::object>(section));
  CHECK(
      config::json_text(std::get<json::object>(section)) ==
      R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],)"
      R"("syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"},{"names":["here"],"action":"SCMP_ACT_ALLOW"},)"
      R"({"names":["kill"],"action":"SCMP_ACT_ALLOW"},{"names":["mount"],"action":"SCMP_ACT_ERRNO","errnoRet":1},)"
      R"({"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":16,"op":"SCMP_CMP_NE"}]}]})");
  for (const auto* bad : {"", "[]", "{}", R"({"defaultAction":1,"syscalls":[]})", R"({"defaultAction":"x"})"})
    CHECK(std::holds_alternative<driver_failure>(seccomp_section(bad, {}, "amd64")));
  CHECK(contains(std::get<driver_failure>(seccomp_section(profile, {}, "riscv64")).message, "architecture riscv64"));
}
