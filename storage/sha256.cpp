#include "storage/sha256.hpp"

#include <new>
#include <openssl/evp.h>
#include <stdexcept>

namespace prunella::storage {

namespace {

// Fetched once: OpenSSL 3 looks an algorithm up by name at each EVP_sha256() use, which costs more than hashing 1 KiB.
const EVP_MD* algorithm() {
  static const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  if (fetched == nullptr)
    throw std::runtime_error("OpenSSL has no SHA-256: its installation is broken");
  return fetched;
}

} // namespace

void sha256::context_deleter::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

sha256::sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_)
    throw std::bad_alloc();
  begin();
}

sha256& sha256::begin() {
  if (EVP_DigestInit_ex(context_.get(), algorithm(), nullptr) != 1)
    throw std::runtime_error("OpenSSL cannot start a SHA-256");
  return *this;
}

sha256& sha256::add(std::string_view bytes) {
  EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
  return *this;
}

sha256::value sha256::finish() {
  value hash{};
  EVP_DigestFinal_ex(context_.get(), hash.data(), nullptr);
  return hash;
}

} // namespace prunella::storage
