#include "storage/images/documents.hpp"

#include <doctest/doctest.h>

#include "tests/storage/outcome.hpp"

using namespace prunella;
using namespace prunella::tests;
using storage::storage_errc;

namespace {

const std::string a(64, 'a'), b(64, 'b'), c(64, 'c');
const std::string oci = "application/vnd.oci.image.";
const std::string docker = "application/vnd.docker.";

std::string descriptor(const std::string& type, const std::string& hex, const std::string& size = "10") {
  return R"({"mediaType":")" + type + R"(","digest":"sha256:)" + hex + R"(","size":)" + size + "}";
}

std::string manifest(const std::string& layers, const std::string& config = descriptor(oci + "config.v1+json", c)) {
  return R"({"schemaVersion":2,"config":)" + config + R"(,"layers":[)" + layers + "]}";
}

std::string entry(const std::string& hex, const std::string& platform) {
  return R"({"mediaType":")" + oci + R"(manifest.v1+json","digest":"sha256:)" + hex + R"(","size":7,"platform":)" +
         platform + "}";
}

std::string index(const std::string& entries) {
  return R"({"schemaVersion":2,"manifests":[)" + entries + "]}";
}

const std::string layer = descriptor(oci + "layer.v1.tar+gzip", a);

const storage::platform amd64{"linux", "amd64", ""};
const storage::platform arm64{"linux", "arm64", "v8"};

storage::image_manifest manifest_of(const std::string& text, const std::string& type = {}) {
  auto read = must(storage::read_manifest(text, type));
  REQUIRE(std::holds_alternative<storage::image_manifest>(read));
  return std::get<storage::image_manifest>(read);
}

} // namespace

TEST_CASE("manifests of OCI and of Docker give the same value, but for their own media type") {
  const auto read = manifest_of(manifest(layer + "," + descriptor(oci + "layer.v1.tar+zstd", b, "20")));
  CHECK(read.media_type == oci + "manifest.v1+json");
  CHECK(read.config.digest.hex == c);
  REQUIRE(read.layers.size() == 2);
  CHECK(read.layers[0].digest.hex == a);
  CHECK(read.layers[1].size == 20);
  CHECK(read.total_bytes() == 40);
  const auto theirs = manifest_of(
      manifest(descriptor(docker + "image.rootfs.diff.tar.gzip", a), descriptor(docker + "container.image.v1+json", c)),
      docker + "distribution.manifest.v2+json");
  CHECK(theirs.media_type == docker + "distribution.manifest.v2+json");
  CHECK(theirs.layers[0].digest == read.layers[0].digest);
}

TEST_CASE("a manifest that lacks or twists a member is refused with the path to it") {
  const auto refused = [](const std::string& text, const std::string& words,
                          storage_errc code = storage_errc::malformed) {
    CAPTURE(text);
    check_refused(storage::read_manifest(text), code, words);
  };
  refused("", "not JSON: line 1");
  refused("{\"schemaVersion\":2", "not JSON");
  refused("[]", "it must be an object");
  refused("{}", "schemaVersion is missing");
  refused(R"({"schemaVersion":2})", "neither `manifests` nor `layers`");
  refused(R"({"schemaVersion":2,"layers":[]})", "config is missing");
  refused(R"({"schemaVersion":1,"fsLayers":[]})", "schema 1", storage_errc::unsupported);
  refused(R"({"schemaVersion":2,"manifests":[],"layers":[]})", "read as an index too");
  refused(R"({"schemaVersion":2,"manifests":[],"config":{}})", "read as an index too");
  refused(manifest("7"), "layers[0] must be an object, and is the number 7");
  refused(manifest(descriptor(oci + "layer.v1.tar", "zz")), "layers[0].digest");
  refused(manifest(descriptor(oci + "layer.v1.tar", a, "-1")), "layers[0].size must be a size");
  refused(manifest(descriptor(oci + "layer.v1.tar", a, "1.5")), "layers[0].size must be a size");
  refused(manifest(descriptor(oci + "layer.v1.tar", a, "99999999999999")), "at most", storage_errc::refused);
  refused(manifest(""), "no layers", storage_errc::unsupported);
  refused(manifest(descriptor("application/x-helm", a)), "layer 1 of the image", storage_errc::unsupported);
  refused(manifest(descriptor(oci + "layer.nondistributable.v1.tar+gzip", a)), "lies elsewhere",
          storage_errc::unsupported);
  refused(manifest(descriptor(oci + "layer.v1.tar+gzip+encrypted", a)), "is encrypted", storage_errc::unsupported);
  refused(manifest(layer, descriptor("application/vnd.cncf.helm.config.v1+json", c)), "no container image",
          storage_errc::unsupported);
  refused(std::string(storage::max_document_bytes + 1, ' '), "bytes, at most", storage_errc::refused);
}

TEST_CASE("the 127th layer is the last one that is allowed") {
  std::string layers;
  for (std::size_t n = 0; n < storage::max_layers; ++n)
    layers += (n == 0 ? "" : ",") + layer;
  CHECK(manifest_of(manifest(layers)).layers.size() == 127);
  check_refused(storage::read_manifest(manifest(layers + "," + layer)), storage_errc::refused, "at most 127");
}

TEST_CASE("a document must be what the transport says, and what its own media type says") {
  check_refused(storage::read_manifest(manifest(layer), oci + "index.v1+json"), storage_errc::malformed, "promises");
  check_refused(storage::read_manifest(index(""), docker + "distribution.manifest.v2+json"), storage_errc::malformed,
                "promises");
  check_refused(storage::read_manifest(manifest(layer), "text/html"), storage_errc::unsupported, "'text/html'");
  const auto own = R"({"mediaType":")" + oci + R"(manifest.v1+json",)" + manifest(layer).substr(1);
  CHECK(manifest_of(own, oci + "manifest.v1+json").layers.size() == 1);
  check_refused(storage::read_manifest(own, docker + "distribution.manifest.v2+json"), storage_errc::malformed,
                "was delivered as");
}

TEST_CASE("of an index the image for this platform is chosen, and else the error lists what there is") {
  const auto many = must(storage::read_index(index(entry(a, R"({"os":"linux","architecture":"arm64","variant":"v8"})") +
                                                   "," + entry(b, R"({"os":"linux","architecture":"amd64"})") + "," +
                                                   entry(c, R"({"os":"unknown","architecture":"unknown"})"))));
  CHECK(must(storage::choose(many, amd64)).manifest.digest.hex == b);
  CHECK(must(storage::choose(many, arm64)).manifest.digest.hex == a);
  check_refused(storage::choose(many, {"linux", "riscv64", ""}), storage_errc::unsupported,
                "it is there for linux/arm64/v8, linux/amd64:");
  check_refused(storage::choose({}, amd64), storage_errc::unsupported, "no platform at all");
  const auto silent = must(storage::read_index(index(descriptor(oci + "manifest.v1+json", a))));
  CHECK(must(storage::choose(silent, amd64)).manifest.digest.hex == a);
}

TEST_CASE("a variant above what a host promises does not run on it") {
  CHECK(storage::runs_on({"linux", "amd64", "v1"}, amd64));
  CHECK_FALSE(storage::runs_on({"linux", "amd64", "v3"}, amd64));
  CHECK(storage::runs_on({"linux", "arm64", ""}, arm64));
  CHECK_FALSE(storage::runs_on({"linux", "arm64", "v9"}, arm64));
  CHECK(storage::runs_on({"linux", "arm", "v6"}, {"linux", "arm", "v7"}));
  CHECK_FALSE(storage::runs_on({"linux", "arm", "v7"}, {"linux", "arm", "v6"}));
  CHECK_FALSE(storage::runs_on({"windows", "amd64", ""}, amd64));
}

TEST_CASE("a configuration gives what a container inherits, and null is the same as absent") {
  const auto read = must(storage::read_config(R"({"architecture":"amd64","os":"linux","config":{"User":"www:www",
    "Env":["A=1","B="],"Entrypoint":["/bin/sh"],"Cmd":null,"WorkingDir":"/srv","StopSignal":"SIGQUIT",
    "ExposedPorts":{"80/tcp":{}},"Volumes":{"/data":{}},"Labels":{"x":"y"},"ArgsEscaped":true},
    "rootfs":{"type":"layers","diff_ids":["sha256:)" +
                                              a + R"("]},"history":[]})"));
  CHECK(read.platform == amd64);
  CHECK(read.user == "www:www");
  CHECK(read.environment == std::vector<std::string>{"A=1", "B="});
  CHECK(read.entrypoint == std::vector<std::string>{"/bin/sh"});
  CHECK(read.command.empty());
  CHECK(read.working_directory == "/srv");
  CHECK(read.stop_signal == "SIGQUIT");
  CHECK(read.exposed_ports == std::vector<std::string>{"80/tcp"});
  CHECK(read.volumes == std::vector<std::string>{"/data"});
  CHECK(read.labels.at("x") == "y");
  REQUIRE(read.diff_ids.size() == 1);
  CHECK(read.diff_ids[0].hex == a);
}

TEST_CASE("a configuration with a wrong member is refused with the path to it") {
  const auto with = [](const std::string& config) {
    return R"({"architecture":"amd64","os":"linux","config":)" + config + R"(,"rootfs":{"diff_ids":["sha256:)" + a +
           R"("]}})";
  };
  check_refused(storage::read_config(with(R"({"Env":["A=1",7]})")), storage_errc::malformed, "config.Env[1]");
  check_refused(storage::read_config(with(R"({"User":{}})")), storage_errc::malformed, "config.User");
  check_refused(storage::read_config(with(R"({"Cmd":["a\u0000b"]})")), storage_errc::malformed, "without NUL");
  check_refused(storage::read_config(with(R"({"Labels":{"x":1}})")), storage_errc::malformed, "config.Labels.x");
  check_refused(storage::read_config(R"({"architecture":"amd64"})"), storage_errc::malformed, "os is missing");
  check_refused(storage::read_config(R"({"architecture":"amd64","os":"linux"})"), storage_errc::malformed,
                "rootfs is missing");
}

TEST_CASE("an image must be for this host, and have as many layers as its configuration says") {
  const auto one = manifest_of(manifest(layer));
  storage::image_config config;
  config.platform = amd64;
  config.diff_ids = {{a}};
  must(storage::check_image(one, config, amd64));
  check_refused(storage::check_image(one, config, arm64), storage_errc::unsupported,
                "built for linux/amd64, this host is linux/arm64/v8");
  config.diff_ids.push_back({b});
  check_refused(storage::check_image(one, config, amd64), storage_errc::malformed, "1 layers");
}

TEST_CASE("the first chain id is the layer itself, each further one hashes the one below and its own") {
  const auto chain = storage::chain_ids({{a}, {b}});
  REQUIRE(chain.size() == 2);
  CHECK(chain[0].hex == a);
  CHECK(chain[1] == storage::digest_of("sha256:" + a + " sha256:" + b));
  CHECK(storage::chain_ids({}).empty());
}
