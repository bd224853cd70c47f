#include "net/tls_session.hpp"

#include <algorithm>
#include <climits>

#include <openssl/err.h>

#include "net/identity_openssl.hpp"

namespace prunella::net {

namespace {

constexpr std::size_t max_handshake_bytes = 64 * 1024;

std::shared_ptr<void> make_context(const host_identity& identity, tls_role role) {
  const auto refuse = [&](const std::string& what) {
    return identity_error(identity_errc::malformed,
                          "TLS cannot use the identity of host '" + identity.host_id + "': " + what + ": " +
                            take_openssl_error());
  };
  ERR_clear_error();
  context_ptr context(SSL_CTX_new(role == tls_role::client ? TLS_client_method() : TLS_server_method()));
  const auto ca = parse_certificate(identity.ca_pem);
  const auto certificate = parse_certificate(identity.certificate_pem);
  const auto key = parse_key(identity.key_pem);
  if (!context || !ca || !certificate || !key)
    throw refuse("a certificate or key is not readable");
  if (SSL_CTX_use_certificate(context.get(), certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1 || SSL_CTX_check_private_key(context.get()) != 1)
    throw refuse("certificate and key do not belong together");
  if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), ca.get()) != 1 ||
      SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1)
    throw refuse("the CA or TLS 1.3 is not accepted");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_verify_depth(context.get(), 1);
  // Clocks may be wrong at the edge, and membership is what revokes: no certificate times are checked.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context.get()), X509_V_FLAG_NO_CHECK_TIME);
  // No resumption: it would skip the certificate, and tickets are bytes nobody uses.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  // Idle connections give their record buffers (2 x 17 KiB) back.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  return std::shared_ptr<void>(context.release(), [](void* p) { SSL_CTX_free(static_cast<SSL_CTX*>(p)); });
}

} // namespace

tls_context::tls_context(const host_identity& identity)
  : client_(make_context(identity, tls_role::client)), server_(make_context(identity, tls_role::server)) {}

struct tls_session::impl {
  ssl_ptr ssl;
  BIO* in = nullptr;  // owned by ssl
  BIO* out = nullptr; // owned by ssl
};

tls_session::tls_session(const tls_context& context, tls_role role) : impl_(std::make_unique<impl>()) {
  ERR_clear_error();
  impl_->ssl.reset(SSL_new(static_cast<SSL_CTX*>(context.native(role))));
  bio_ptr in(BIO_new(BIO_s_mem()));
  bio_ptr out(BIO_new(BIO_s_mem()));
  if (!impl_->ssl || !in || !out)
    throw std::bad_alloc();
  impl_->in = in.get();
  impl_->out = out.get();
  SSL_set_bio(impl_->ssl.get(), in.release(), out.release());
  if (role == tls_role::client) {
    SSL_set_connect_state(impl_->ssl.get());
    advance_handshake(); // queues the ClientHello
  } else {
    SSL_set_accept_state(impl_->ssl.get());
  }
}

tls_session::tls_session(tls_session&&) noexcept = default;
tls_session& tls_session::operator=(tls_session&&) noexcept = default;
tls_session::~tls_session() = default;

void tls_session::fail(const char* doing) {
  state_ = state::failed;
  const long verdict = SSL_get_verify_result(impl_->ssl.get());
  problem_ = doing;
  problem_ += ": ";
  if (verdict != X509_V_OK) {
    problem_ += X509_verify_cert_error_string(verdict);
    ERR_clear_error();
  } else {
    problem_ += take_openssl_error();
  }
}

void tls_session::advance_handshake() {
  ERR_clear_error();
  const int rc = SSL_do_handshake(impl_->ssl.get());
  if (rc != 1) {
    const int reason = SSL_get_error(impl_->ssl.get(), rc);
    if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE)
      fail("the TLS handshake failed");
    return;
  }
  certificate_ptr peer(SSL_get1_peer_certificate(impl_->ssl.get()));
  peer_host_ = host_id_of(peer.get());
  if (peer_host_.empty()) {
    state_ = state::failed;
    problem_ = "the peer's certificate does not name exactly one host id";
    return;
  }
  state_ = state::open;
}

void tls_session::feed(std::string_view ciphertext) {
  if (state_ == state::failed || state_ == state::closed || ciphertext.empty())
    return;
  if (state_ == state::handshaking) {
    handshake_bytes_ += ciphertext.size();
    if (handshake_bytes_ > max_handshake_bytes) {
      state_ = state::failed;
      problem_ = "the TLS handshake failed: more than 64 KiB without an end";
      return;
    }
  }
  const auto size = static_cast<int>(std::min<std::size_t>(ciphertext.size(), INT_MAX));
  if (BIO_write(impl_->in, ciphertext.data(), size) != size) {
    fail("no memory for TLS");
    return;
  }
  if (state_ == state::handshaking)
    advance_handshake();
}

std::size_t tls_session::read(char* data, std::size_t size) {
  if (state_ != state::open)
    return 0;
  ERR_clear_error();
  std::size_t got = 0;
  if (SSL_read_ex(impl_->ssl.get(), data, size, &got) == 1)
    return got;
  switch (SSL_get_error(impl_->ssl.get(), 0)) {
  case SSL_ERROR_WANT_READ:
  case SSL_ERROR_WANT_WRITE:
    break;
  case SSL_ERROR_ZERO_RETURN:
    state_ = state::closed;
    break;
  default:
    fail("a TLS record was not accepted");
  }
  return 0;
}

void tls_session::write(std::string_view plaintext) {
  if (state_ != state::open || plaintext.empty())
    return;
  ERR_clear_error();
  std::size_t written = 0;
  // A memory BIO takes everything, so a short write is a failure.
  if (SSL_write_ex(impl_->ssl.get(), plaintext.data(), plaintext.size(), &written) != 1 || written != plaintext.size())
    fail("TLS could not encrypt");
}

void tls_session::close() {
  if (state_ != state::open)
    return;
  ERR_clear_error();
  SSL_shutdown(impl_->ssl.get());
}

void tls_session::give_back() {
  // A memory BIO keeps the room of the longest it ever held.
  if (BIO_ctrl_pending(impl_->in) == 0)
    if (bio_ptr fresh{BIO_new(BIO_s_mem())}) {
      impl_->in = fresh.get();
      SSL_set0_rbio(impl_->ssl.get(), fresh.release());
    }
  if (BIO_ctrl_pending(impl_->out) == 0)
    if (bio_ptr fresh{BIO_new(BIO_s_mem())}) {
      impl_->out = fresh.get();
      SSL_set0_wbio(impl_->ssl.get(), fresh.release());
    }
}

void tls_session::take_output(byte_buffer& out) {
  const auto pending = BIO_ctrl_pending(impl_->out);
  if (pending == 0)
    return;
  const auto before = out.size();
  out.resize(before + pending);
  const int got = BIO_read(impl_->out, out.data() + before, static_cast<int>(pending));
  out.resize(before + static_cast<std::size_t>(std::max(got, 0)));
}

} // namespace prunella::net
