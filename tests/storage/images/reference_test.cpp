#include "storage/images/reference.hpp"

#include <doctest/doctest.h>

#include "tests/storage/outcome.hpp"

using namespace prunella;
using namespace prunella::tests;
using storage::storage_errc;

namespace {

const std::string hex(64, 'a');

std::string complete(const std::string& text) {
  return must(storage::parse_reference(text)).text();
}

} // namespace

TEST_CASE("a digest is sha256 and 64 lower-case digits, and each other text says what is wrong with it") {
  CHECK(must(storage::parse_digest("sha256:" + hex)).text() == "sha256:" + hex);
  CHECK(storage::digest_of("").hex == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(storage::digest_of("abc").hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  check_refused(storage::parse_digest(hex), storage_errc::malformed, "the algorithm is missing");
  check_refused(storage::parse_digest("sha512:" + hex + hex), storage_errc::unsupported, "only sha256");
  check_refused(storage::parse_digest("sha256:" + hex.substr(1)), storage_errc::malformed, "64 digits");
  check_refused(storage::parse_digest("sha256:" + hex + "a"), storage_errc::malformed, "64 digits");
  check_refused(storage::parse_digest("sha256:" + std::string(64, 'A')), storage_errc::malformed, "64 digits");
  check_refused(storage::parse_digest("sha256:../" + hex.substr(3)), storage_errc::malformed, "64 digits");
  check_refused(storage::parse_digest_hex("g" + hex.substr(1)), storage_errc::malformed, "'g'");
}

TEST_CASE("a reference is completed with the registry and tag that every other tool takes") {
  CHECK(complete("busybox") == "docker.io/library/busybox:latest");
  CHECK(complete("busybox:1.36") == "docker.io/library/busybox:1.36");
  CHECK(complete("shop/web:2") == "docker.io/shop/web:2");
  CHECK(complete("docker.io/busybox") == "docker.io/library/busybox:latest");
  CHECK(complete("localhost/web") == "localhost/web:latest");
  CHECK(complete("localhost:5000/web") == "localhost:5000/web:latest");
  CHECK(complete("registry.shop.example/team/web:v1.2_rc-3") == "registry.shop.example/team/web:v1.2_rc-3");
  CHECK(complete("[::1]:5000/web:1") == "[::1]:5000/web:1");
  CHECK(complete("x/a__b.c---d/e:1") == "docker.io/x/a__b.c---d/e:1");
}

TEST_CASE("a digest pins a reference, with or without a tag, and the complete text parses to the same value") {
  const auto pinned = must(storage::parse_reference("r.example/web@sha256:" + hex));
  CHECK(pinned.tag.empty());
  CHECK(pinned.is_pinned());
  CHECK(pinned.pinned.hex == hex);
  const auto both = must(storage::parse_reference("r.example:443/web:2@sha256:" + hex));
  CHECK(both.tag == "2");
  CHECK(both.name() == "r.example:443/web");
  for (const auto& value : {pinned, both})
    CHECK(must(storage::parse_reference(value.text())) == value);
}

TEST_CASE("a wrong reference is refused with the part that is wrong") {
  const auto refused = [](const std::string& text, const std::string& words) {
    CAPTURE(text);
    check_refused(storage::parse_reference(text), storage_errc::malformed, words);
  };
  refused("", "there is no name");
  refused(":tag", "there is no name");
  refused("Busybox", "capital letter 'B'");
  refused("shop//web", "empty part");
  refused("shop/web/", "empty part");
  refused("/web", "empty part");
  refused("we b", "' '");
  refused("web-", "ends with '-'");
  refused("-web", "has '-' where");
  refused("a___b", "'___' cannot join");
  refused("a..b/web:1", "is not a registry's host name");
  refused("x/a..b", "'..' cannot join");
  refused("web:", "the tag behind the colon is empty");
  refused("web:.1", "the tag starts with '.'");
  refused("web:a b", "the tag has ' '");
  refused("web:" + std::string(129, 't'), "129 characters");
  refused("r.example:99999/web", "99999 is not in 1-65535");
  refused("r.example:x/web", "port 'x'");
  refused("-r.example/web", "is not a registry's host name");
  refused("[::1/web", "']'");
  refused("web@sha256:12", "64 digits");
  refused("web@", "the algorithm is missing");
  refused("../../etc/passwd", "host name");
  refused(std::string(250, 'a') + "/" + std::string(250, 'b'), "at most 255");
  check_refused(storage::parse_reference("web@md5:12"), storage_errc::unsupported, "only sha256");
  CHECK(must(storage::parse_reference("web:" + std::string(128, 't'))).tag.size() == 128);
}
