#include <fstream>

#include <sys/stat.h>

#include "tests/net/link_fixture.hpp"
#include "net/identity_openssl.hpp"

using namespace prunella::net;
namespace fs = std::filesystem;

namespace {

mode_t mode_of(const fs::path& path) {
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 0777;
}

void overwrite(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

/// The code and text of what `call` throws.
template <class Call>
std::pair<identity_errc, std::string> refusal(Call&& call) {
  try {
    call();
  } catch (const identity_error& reason) {
    return {reason.code, reason.what()};
  }
  FAIL("nothing was refused");
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE("a site identity has 0700 directories, 0600 keys, and nothing of the CA's key with a host") {
  scratch dir;
  const auto site = dir.path() / "site";
  create_site_identity(site, "shop-1", {"host-1", "host-2"});
  for (const auto& path : {site, site / "hosts", site / "hosts/host-1", site / "hosts/host-2"})
    CHECK(mode_of(path) == 0700);
  CHECK(mode_of(site / "ca.key") == 0600);
  CHECK(mode_of(site / "hosts/host-1/host.key") == 0600);
  CHECK(fs::exists(site / "hosts/host-2/ca.crt"));
  CHECK_FALSE(fs::exists(site / "hosts/host-2/ca.key"));
  const auto entries = std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator());
  CHECK(entries == 1); // no scratch directory is left
}

TEST_CASE("a host certificate names exactly its host id, is from 2000, and has no well-defined end") {
  const auto identity = identities().ours("host-1");
  const auto certificate = parse_certificate(identity.certificate_pem);
  REQUIRE(certificate);
  CHECK(host_id_of(certificate.get()) == "host-1");
  const auto text = [](const ASN1_TIME* time) {
    return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(time)),
                       static_cast<std::size_t>(ASN1_STRING_length(time)));
  };
  CHECK(text(X509_get0_notAfter(certificate.get())) == "99991231235959Z");
  CHECK(text(X509_get0_notBefore(certificate.get())) == "000101000000Z");
  CHECK(X509_check_ca(certificate.get()) == 0);
}

TEST_CASE("an identity is never overwritten, not even in part") {
  scratch dir;
  const auto site = dir.path() / "site";
  create_site_identity(site, "shop", {"host-1"});
  const auto before = load_identity(host_identity_dir(site, "host-1"), "host-1").key_pem;
  const auto [code, text] = refusal([&] { create_site_identity(site, "shop", {"host-1"}); });
  CHECK(code == identity_errc::exists);
  CHECK(contains(text, "never overwritten"));
  CHECK(refusal([&] { add_host_identity(site, "host-1"); }).first == identity_errc::exists);
  CHECK(load_identity(host_identity_dir(site, "host-1"), "host-1").key_pem == before);
}

TEST_CASE("a failed init leaves nothing behind, and one bad host id of many makes it fail") {
  scratch dir;
  const auto [code, text] =
    refusal([&] { create_site_identity(dir.path() / "site", "shop", {"host-1", "Host_2", "host-3"}); });
  CHECK(code == identity_errc::invalid_name);
  CHECK(contains(text, "'Host_2'"));
  CHECK(fs::is_empty(dir.path()));
  CHECK(refusal([&] { create_site_identity(dir.path() / "no/such/parent", "shop", {"a"}); }).first ==
        identity_errc::inaccessible);
}

TEST_CASE("a host added later is of the same site") {
  scratch dir;
  const auto site = dir.path() / "site";
  create_site_identity(site, "shop", {"host-1"});
  add_host_identity(site, "host-9");
  CHECK(load_identity(host_identity_dir(site, "host-9"), "host-9").ca_pem ==
        load_identity(host_identity_dir(site, "host-1"), "host-1").ca_pem);
  CHECK(mode_of(host_identity_dir(site, "host-9") / "host.key") == 0600);
}

TEST_CASE("an identity that is missing, exposed, damaged, mixed up or another host's is refused with the file in the text") {
  scratch dir;
  const auto site = dir.path() / "site";
  create_site_identity(site, "shop", {"host-1", "host-2"});
  const auto host = host_identity_dir(site, "host-1");
  const auto load = [&] { load_identity(host, "host-1"); };

  SUBCASE("a missing certificate") {
    fs::remove(host / "host.crt");
    const auto [code, text] = refusal(load);
    CHECK(code == identity_errc::inaccessible);
    CHECK(contains(text, "host.crt"));
  }
  SUBCASE("a key that the group may read") {
    REQUIRE(::chmod((host / "host.key").c_str(), 0640) == 0);
    const auto [code, text] = refusal(load);
    CHECK(code == identity_errc::key_exposed);
    CHECK(contains(text, "chmod 600"));
  }
  SUBCASE("a truncated key") {
    overwrite(host / "host.key", "-----BEGIN PRIVATE KEY-----\nMIG");
    CHECK(refusal(load).first == identity_errc::malformed);
  }
  SUBCASE("the key of another host") {
    fs::copy_file(host_identity_dir(site, "host-2") / "host.key", host / "host.key",
                  fs::copy_options::overwrite_existing);
    CHECK(refusal(load).first == identity_errc::mismatch);
  }
  SUBCASE("the directory of another host") {
    const auto [code, text] = refusal([&] { load_identity(host, "host-2"); });
    CHECK(code == identity_errc::mismatch);
    CHECK(contains(text, "'host-1', not for host 'host-2'"));
  }
  SUBCASE("the CA of another site") {
    create_site_identity(dir.path() / "other", "other", {});
    fs::copy_file(dir.path() / "other/ca.crt", host / "ca.crt", fs::copy_options::overwrite_existing);
    const auto [code, text] = refusal(load);
    CHECK(code == identity_errc::mismatch);
    CHECK(contains(text, "not signed by the CA"));
  }
}

TEST_CASE("a host id has 1 to 63 of a-z, 0-9, dash and dot, and starts and ends with a letter or digit") {
  CHECK(is_host_id("a"));
  CHECK(is_host_id("host-1.shop"));
  CHECK(is_host_id(std::string(63, 'x')));
  for (const auto& bad : {std::string(), std::string(64, 'x'), std::string("-a"), std::string("a-"), std::string("A"),
                          std::string("a b"), std::string("a\0b", 3), std::string("*.a")})
    CHECK_FALSE(is_host_id(bad));
}

TEST_CASE("a file of an identity that is a folder, a pipe, a device or missing is refused by name, with where it comes from") {
  scratch dir;
  create_site_identity(dir.path() / "site", "harbour", {"host-1"});
  const auto own = host_identity_dir(dir.path() / "site", "host-1");
  for (const std::string name : {"ca.crt", "host.crt", "host.key"}) {
    const auto kept = own / (name + ".kept");
    fs::rename(own / name, kept);
    const auto refuse = [&](const std::string& says) {
      const auto [code, text] = refusal([&] { load_identity(own, "host-1"); });
      CAPTURE(text);
      CHECK(code == identity_errc::inaccessible);
      CHECK(contains(text, (own / name).string() + ": "));
      CHECK(contains(text, says));
      CHECK(contains(text, "`prunella site init` made it"));
      fs::remove(own / name);
    };
    refuse("No such file");
    fs::create_directory(own / name);
    refuse("is a folder");
    REQUIRE(::mkfifo((own / name).c_str(), 0600) == 0);
    refuse("is a pipe that nobody writes into");
    fs::create_symlink("/dev/zero", own / name);
    refuse("is a device");
    std::ofstream{own / name} << std::string(70'000, 'x');
    refuse("is larger than 65536 bytes");
    fs::rename(kept, own / name);
  }
  CHECK(site_of(load_identity(own, "host-1")) == "harbour");
}

TEST_CASE("a site identity below a folder that is not there is refused by the folder's name") {
  scratch dir;
  const auto [code, text] = refusal([&] { create_site_identity(dir.path() / "a" / "site", "harbour", {"host-1"}); });
  CHECK(code == identity_errc::inaccessible);
  CHECK(contains(text, (dir.path() / "a").string() + " is no folder; make it first"));
}
