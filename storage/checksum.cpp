#include "storage/checksum.hpp"

#include <algorithm>
#include <new>
#include <openssl/evp.h>
#include <stdexcept>

namespace prunella::storage {

namespace {

// Fetched once: OpenSSL 3 looks an algorithm up by name at each EVP_sha256() use, which costs more than hashing 1 KiB.
const EVP_MD* sha256() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  if (algorithm == nullptr)
    throw std::runtime_error("OpenSSL has no SHA-256: its installation is broken");
  return algorithm;
}

} // namespace

void checksum_builder::context_deleter::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

checksum_builder::checksum_builder() : context_(EVP_MD_CTX_new()) {
  if (!context_)
    throw std::bad_alloc();
  begin();
}

checksum_builder& checksum_builder::begin() {
  if (EVP_DigestInit_ex(context_.get(), sha256(), nullptr) != 1)
    throw std::runtime_error("OpenSSL cannot start a SHA-256");
  return *this;
}

checksum_builder& checksum_builder::add(std::uint64_t number) {
  std::array<unsigned char, 8> bytes{};
  for (auto& byte : bytes) {
    byte = static_cast<unsigned char>(number & 0xff);
    number >>= 8;
  }
  EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
  return *this;
}

checksum_builder& checksum_builder::add(std::string_view bytes) {
  add(std::uint64_t{bytes.size()});
  EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
  return *this;
}

checksum checksum_builder::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> full{};
  EVP_DigestFinal_ex(context_.get(), full.data(), nullptr);
  checksum sum{};
  std::copy_n(full.begin(), sum.size(), sum.begin());
  return sum;
}

} // namespace prunella::storage
