#include "net/identity.hpp"

#include <cerrno>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/text_file.hpp"
#include "net/identity_openssl.hpp"

namespace prunella::net {

namespace fs = std::filesystem;

namespace {

// Clocks of edge machines may start at 1970 + firmware age; the links check no times, other tools do.
constexpr const char* not_before = "20000101000000Z";
constexpr const char* not_after = "99991231235959Z";

constexpr const char* restore_hint = ". Restore the folder from where `prunella site init` made it";
constexpr std::size_t file_bytes = 64 * 1024; ///< of a certificate or a key, which have some hundred

[[noreturn]] void fail_openssl(const std::string& what) {
  throw identity_error(identity_errc::malformed, what + ": " + take_openssl_error());
}

[[noreturn]] void fail_system(const std::string& what, const fs::path& path) {
  const int code = errno;
  throw identity_error(code == EEXIST ? identity_errc::exists : identity_errc::inaccessible,
                       what + " " + path.string() + ": " + std::generic_category().message(code));
}

/// A key with the certificate that names it.
struct issuer {
  key_ptr key;
  certificate_ptr certificate;
};

key_ptr make_key() {
  key_ptr key(EVP_EC_gen("P-256"));
  if (!key)
    fail_openssl("cannot make a P-256 key");
  return key;
}

void set_name(X509_NAME* name, const char* field, std::string_view value) {
  if (X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                                 static_cast<int>(value.size()), -1, 0) != 1)
    fail_openssl("cannot set the certificate's name");
}

void add_extension(X509* certificate, X509* signer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, signer, certificate, nullptr, nullptr, 0);
  extension_ptr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1)
    fail_openssl("cannot add '" + value + "' to the certificate");
}

certificate_ptr start_certificate(EVP_PKEY* key, std::string_view site, std::string_view common_name) {
  certificate_ptr certificate(X509_new());
  bignum_ptr serial(BN_new());
  // 127 random bits: positive and unique without a counter to keep (RFC 5280, 4.1.2.2).
  const bool ok = certificate && serial && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
                  BN_rand(serial.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                  BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate.get())) != nullptr &&
                  ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate.get()), not_before) == 1 &&
                  ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate.get()), not_after) == 1 &&
                  X509_set_pubkey(certificate.get(), key) == 1;
  if (!ok)
    fail_openssl("cannot make a certificate");
  set_name(X509_get_subject_name(certificate.get()), "O", site);
  set_name(X509_get_subject_name(certificate.get()), "CN", common_name);
  return certificate;
}

issuer make_ca(std::string_view site) {
  issuer ca{make_key(), nullptr};
  ca.certificate = start_certificate(ca.key.get(), site, "prunella site CA");
  X509* certificate = ca.certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(certificate, certificate, NID_subject_key_identifier, "hash");
  if (X509_sign(certificate, ca.key.get(), EVP_sha256()) == 0)
    fail_openssl("cannot sign the site CA");
  return ca;
}

issuer make_host(const issuer& ca, std::string_view site, const std::string& host_id) {
  issuer host{make_key(), nullptr};
  host.certificate = start_certificate(host.key.get(), site, host_id);
  X509* certificate = host.certificate.get();
  X509* signer = ca.certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(signer));
  add_extension(certificate, signer, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(certificate, signer, NID_key_usage, "critical,digitalSignature");
  add_extension(certificate, signer, NID_ext_key_usage, "serverAuth,clientAuth");
  add_extension(certificate, signer, NID_subject_alt_name, "DNS:" + host_id);
  add_extension(certificate, signer, NID_subject_key_identifier, "hash");
  add_extension(certificate, signer, NID_authority_key_identifier, "keyid:always");
  if (X509_sign(certificate, ca.key.get(), EVP_sha256()) == 0)
    fail_openssl("cannot sign the certificate of host '" + host_id + "'");
  return host;
}

template <class Write>
std::string to_pem(Write&& write) {
  bio_ptr bio(BIO_new(BIO_s_secmem()));
  if (!bio || write(bio.get()) != 1)
    fail_openssl("cannot encode as PEM");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string to_pem(X509* certificate) {
  return to_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

std::string to_pem(EVP_PKEY* key) {
  return to_pem([&](BIO* bio) { return PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); });
}

void make_directory(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) != 0)
    fail_system("cannot make the directory", path);
}

void sync_directory(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || ::fsync(fd) != 0) {
    if (fd >= 0)
      ::close(fd);
    fail_system("cannot flush the directory", path);
  }
  ::close(fd);
}

void write_file(const fs::path& path, std::string_view content, mode_t mode) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0)
    fail_system("cannot make the file", path);
  bool ok = ::fchmod(fd, mode) == 0; // whatever the umask says
  while (ok && !content.empty()) {
    const auto written = ::write(fd, content.data(), content.size());
    ok = written > 0 || (written < 0 && errno == EINTR);
    if (written > 0)
      content.remove_prefix(static_cast<std::size_t>(written));
  }
  ok = ok && ::fsync(fd) == 0;
  const int code = errno;
  ::close(fd);
  errno = code;
  if (!ok)
    fail_system("cannot write the file", path);
}

std::string read_file(const fs::path& path) {
  auto file = config::read_text_file(path.string(), {file_bytes, std::chrono::seconds{1}});
  if (!file.error.empty())
    throw identity_error(identity_errc::inaccessible,
                         path.string() + ": " + file.error + ". `prunella site init` made it for this host; copy it from there");
  return std::move(file.text);
}

std::string read_key(const fs::path& path) {
  auto key = read_file(path);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    fail_system("cannot read", path);
  if ((info.st_mode & 077) != 0)
    throw identity_error(identity_errc::key_exposed,
                         "the private key " + path.string() + " may be read by others than its owner: run `chmod 600 " +
                           path.string() + "`, or make a new identity if they may have");
  return key;
}

certificate_ptr require_certificate(const fs::path& path, const std::string& pem) {
  auto certificate = parse_certificate(pem);
  if (!certificate)
    throw identity_error(identity_errc::malformed, path.string() + " is not a certificate in PEM form: " +
                                                     take_openssl_error() + restore_hint);
  return certificate;
}

key_ptr require_key(const fs::path& path, const std::string& pem) {
  auto key = parse_key(pem);
  if (!key)
    throw identity_error(identity_errc::malformed,
                         path.string() + " is not a private key in PEM form: " + take_openssl_error() + restore_hint);
  return key;
}

void require_pair(X509* certificate, EVP_PKEY* key, const fs::path& dir, const std::string& name) {
  if (X509_check_private_key(certificate, key) == 1)
    return;
  take_openssl_error();
  throw identity_error(identity_errc::mismatch, "the key " + (dir / (name + ".key")).string() +
                                                  " does not belong to the certificate " +
                                                  (dir / (name + ".crt")).string() +
                                                  ": restore both from the same `prunella site init`");
}

std::string organisation_of(X509* certificate) {
  char text[128] = {};
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_organizationName, text, sizeof text);
  return text;
}

void require_host_id(const std::string& host_id) {
  if (!is_host_id(host_id))
    throw identity_error(identity_errc::invalid_name, "'" + host_id +
                                                        "' cannot be a host id: 1 to 63 of a-z, 0-9, '-' and '.', the "
                                                        "first and last a letter or digit");
}

/// Removes a half-made directory unless `keep` was called.
class scratch_directory {
public:
  explicit scratch_directory(fs::path path) : path_(std::move(path)) { make_directory(path_); }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  ~scratch_directory() {
    std::error_code ignored;
    if (!path_.empty())
      fs::remove_all(path_, ignored);
  }

  const fs::path& path() const { return path_; }

  /// All or nothing: rename(2) fails when `target` is a directory with something in it.
  void move_to(const fs::path& target) {
    sync_directory(path_);
    if (::rename(path_.c_str(), target.c_str()) != 0) {
      if (errno == ENOTEMPTY)
        errno = EEXIST;
      fail_system("cannot put the identity in place at", target);
    }
    path_.clear();
    sync_directory(target.parent_path());
  }

private:
  fs::path path_;
};

std::string scratch_suffix() {
  return ".new-" + std::to_string(::getpid());
}

void write_host(const fs::path& dir, const issuer& ca, std::string_view site, const std::string& host_id) {
  const auto host = make_host(ca, site, host_id);
  write_file(dir / "host.crt", to_pem(host.certificate.get()), 0644);
  write_file(dir / "host.key", to_pem(host.key.get()), 0600);
  write_file(dir / "ca.crt", to_pem(ca.certificate.get()), 0644);
  sync_directory(dir);
}

} // namespace

bool is_host_id(std::string_view text) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (text.empty() || text.size() > 63 || !alphanumeric(text.front()) || !alphanumeric(text.back()))
    return false;
  for (const char c : text)
    if (!alphanumeric(c) && c != '-' && c != '.')
      return false;
  return true;
}

std::string take_openssl_error() {
  char text[256] = "no further reason given";
  if (const auto code = ERR_get_error(); code != 0)
    ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

certificate_ptr parse_certificate(std::string_view pem) {
  bio_ptr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return certificate_ptr(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr);
}

key_ptr parse_key(std::string_view pem) {
  bio_ptr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  return key_ptr(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr) : nullptr);
}

std::string host_id_of(X509* certificate) {
  if (certificate == nullptr)
    return {};
  names_ptr names(
    static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (!names || sk_GENERAL_NAME_num(names.get()) != 1)
    return {};
  const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), 0);
  if (name->type != GEN_DNS)
    return {};
  const auto* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
  std::string id(data, static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
  return is_host_id(id) ? id : std::string{};
}

fs::path host_identity_dir(const fs::path& dir, std::string_view host_id) {
  return dir / "hosts" / host_id;
}

void create_site_identity(const fs::path& dir_as_given, std::string_view site,
                          const std::vector<std::string>& host_ids) {
  for (const auto& host_id : host_ids)
    require_host_id(host_id);
  if (site.empty() || site.size() > 64)
    throw identity_error(identity_errc::invalid_name, "a site name has 1 to 64 characters");
  auto dir = fs::absolute(dir_as_given).lexically_normal();
  if (!dir.has_filename())
    dir = dir.parent_path();
  std::error_code code;
  if (fs::exists(dir, code) && !fs::is_empty(dir, code))
    throw identity_error(identity_errc::exists, dir.string() +
                                                  " exists already; an identity is never overwritten. Name another "
                                                  "directory, or add hosts to this one");
  if (!fs::is_directory(dir.parent_path(), code))
    throw identity_error(identity_errc::inaccessible, "cannot make the directory " + dir.string() + ": " +
                                                        dir.parent_path().string() + " is no folder; make it first");
  scratch_directory scratch(dir.string() + scratch_suffix());
  const auto ca = make_ca(site);
  write_file(scratch.path() / "ca.crt", to_pem(ca.certificate.get()), 0644);
  write_file(scratch.path() / "ca.key", to_pem(ca.key.get()), 0600);
  make_directory(scratch.path() / "hosts");
  for (const auto& host_id : host_ids) {
    make_directory(host_identity_dir(scratch.path(), host_id));
    write_host(host_identity_dir(scratch.path(), host_id), ca, site, host_id);
  }
  sync_directory(scratch.path() / "hosts");
  scratch.move_to(dir);
}

void add_host_identity(const fs::path& dir, const std::string& host_id) {
  require_host_id(host_id);
  issuer ca;
  ca.certificate = require_certificate(dir / "ca.crt", read_file(dir / "ca.crt"));
  ca.key = require_key(dir / "ca.key", read_key(dir / "ca.key"));
  require_pair(ca.certificate.get(), ca.key.get(), dir, "ca");
  const auto target = host_identity_dir(fs::absolute(dir), host_id);
  std::error_code code;
  if (fs::exists(target, code))
    throw identity_error(identity_errc::exists, "host '" + host_id + "' has an identity already in " + target.string());
  scratch_directory scratch(target.string() + scratch_suffix());
  write_host(scratch.path(), ca, organisation_of(ca.certificate.get()), host_id);
  scratch.move_to(target);
}

host_identity load_identity(const fs::path& dir, std::string_view host_id) {
  host_identity identity{std::string(host_id), read_file(dir / "ca.crt"), read_file(dir / "host.crt"),
                         read_key(dir / "host.key")};
  const auto ca = require_certificate(dir / "ca.crt", identity.ca_pem);
  const auto certificate = require_certificate(dir / "host.crt", identity.certificate_pem);
  const auto key = require_key(dir / "host.key", identity.key_pem);
  require_pair(certificate.get(), key.get(), dir, "host");
  const auto name = host_id_of(certificate.get());
  if (name != host_id)
    throw identity_error(identity_errc::mismatch, "the certificate " + (dir / "host.crt").string() + " is for '" + name +
                                                    "', not for host '" + std::string(host_id) +
                                                    "': give each host the directory of its own id");
  if (X509_verify(certificate.get(), X509_get0_pubkey(ca.get())) != 1) {
    take_openssl_error();
    throw identity_error(identity_errc::mismatch, "the certificate " + (dir / "host.crt").string() +
                                                    " was not signed by the CA " + (dir / "ca.crt").string() +
                                                    ": both come from the same `prunella site init`");
  }
  return identity;
}

std::string site_of(const host_identity& identity) {
  const auto ca = parse_certificate(identity.ca_pem);
  return ca ? organisation_of(ca.get()) : std::string{};
}

} // namespace prunella::net
