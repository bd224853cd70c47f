#pragma once

// Who a host is: a key pair and a certificate of the site's own CA whose only DNS name is the host id. Addresses may
// change and clocks may be wrong, so a certificate has no well-defined end (RFC 5280, 4.1.2.5) and is revoked by removing
// the host from the site's members.
//
//   DIR/ca.crt  DIR/ca.key              the site CA; the key stays with who ran `prunella site init`
//   DIR/hosts/HOST/{host.crt,host.key,ca.crt}    what one host needs, and nothing else
//
// Directories are 0700, keys 0600. Every function throws `identity_error`; its text says what, where and what to do.

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace prunella::net {

enum class identity_errc : std::uint8_t {
  /// A file or directory is not there, or this user may not read or write it.
  inaccessible = 1,
  /// There is an identity already; it is never overwritten.
  exists = 2,
  /// Others than the owner may read a private key.
  key_exposed = 3,
  /// A file is not a certificate or private key in PEM form.
  malformed = 4,
  /// The parts do not belong together: key and certificate, certificate and CA, or certificate and host id.
  mismatch = 5,
  /// A site name or host id that cannot be a name in a certificate.
  invalid_name = 6,
};

struct identity_error : std::runtime_error {
  identity_error(identity_errc reason, const std::string& text) : std::runtime_error(text), code(reason) {}
  identity_errc code;
};

/// What a host shows and trusts, in PEM form. `key_pem` is secret: never log or send it.
struct host_identity {
  std::string host_id;
  std::string ca_pem;
  std::string certificate_pem;
  std::string key_pem;
};

/// Whether `text` can be a host id: 1 … 63 of `a-z 0-9 - .`, the first and last a letter or digit.
bool is_host_id(std::string_view text);

/// Makes the site's CA and one identity per host, all or nothing. `dir` must not exist or be empty; its parent must exist.
void create_site_identity(const std::filesystem::path& dir, std::string_view site,
                          const std::vector<std::string>& host_ids);

/// Makes the identity of one more host with the CA key in `dir`.
void add_host_identity(const std::filesystem::path& dir, const std::string& host_id);

/// The directory of `host_id` below `dir` of `create_site_identity`.
std::filesystem::path host_identity_dir(const std::filesystem::path& dir, std::string_view host_id);

/// Reads `dir` (of one host) and checks that everything in it belongs together and to `host_id`.
host_identity load_identity(const std::filesystem::path& dir, std::string_view host_id);

/// The site whose CA `identity` trusts; empty if the CA does not say.
std::string site_of(const host_identity& identity);

} // namespace prunella::net
