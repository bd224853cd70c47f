#pragma once

// OpenSSL objects with owners. Private to net/: include it in sources only.

#include <memory>
#include <string>
#include <string_view>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace prunella::net {

template <auto Free>
struct openssl_free {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

using key_ptr = std::unique_ptr<EVP_PKEY, openssl_free<EVP_PKEY_free>>;
using certificate_ptr = std::unique_ptr<X509, openssl_free<X509_free>>;
using extension_ptr = std::unique_ptr<X509_EXTENSION, openssl_free<X509_EXTENSION_free>>;
using bio_ptr = std::unique_ptr<BIO, openssl_free<BIO_free_all>>;
using bignum_ptr = std::unique_ptr<BIGNUM, openssl_free<BN_free>>;
using names_ptr = std::unique_ptr<GENERAL_NAMES, openssl_free<GENERAL_NAMES_free>>;
using context_ptr = std::unique_ptr<SSL_CTX, openssl_free<SSL_CTX_free>>;
using ssl_ptr = std::unique_ptr<SSL, openssl_free<SSL_free>>;

/// The first object in `pem`, or null. Never asks for a passphrase.
certificate_ptr parse_certificate(std::string_view pem);
key_ptr parse_key(std::string_view pem);

/// The only DNS name among the certificate's alternative names; empty if there is none, several, or not a host id.
std::string host_id_of(X509* certificate);

/// OpenSSL's oldest queued error as text, and empties the queue.
std::string take_openssl_error();

} // namespace prunella::net
