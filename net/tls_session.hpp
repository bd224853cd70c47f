#pragma once

// TLS 1.3 as a value without I/O: ciphertext in, plaintext out, and the other way round, over OpenSSL's memory BIOs. Both
// sides show a certificate of the site's CA; the peer is known by the host id in it before any plaintext is read.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "net/identity.hpp"
#include "net/link_frame.hpp"

namespace prunella::net {

enum class tls_role { client, server };

/// Certificates and keys ready for use, shared by all sessions of a host. Cheap to copy.
class tls_context {
public:
  /// Throws `identity_error` if OpenSSL does not take `identity`.
  explicit tls_context(const host_identity& identity);

  void* native(tls_role role) const { return (role == tls_role::client ? client_ : server_).get(); }

private:
  std::shared_ptr<void> client_;
  std::shared_ptr<void> server_;
};

class tls_session {
public:
  enum class state {
    handshaking,
    open,
    closed, ///< the peer said close_notify
    failed, ///< see `problem()`; an alert may be in the output
  };

  tls_session(const tls_context& context, tls_role role);
  tls_session(tls_session&&) noexcept;
  tls_session& operator=(tls_session&&) noexcept;
  ~tls_session();

  /// Takes ciphertext and runs the handshake as far as it goes. During the handshake at most 64 KiB are taken in all;
  /// then call `read` until it returns 0 before feeding more.
  void feed(std::string_view ciphertext);

  /// Decrypts up to `size` bytes into `data`; 0: nothing there now (or not open any more).
  std::size_t read(char* data, std::size_t size);

  /// Encrypts all of `plaintext` into the output. Only while `open`.
  void write(std::string_view plaintext);

  /// Queues close_notify.
  void close();

  /// Gives the memory back that earlier records needed.
  void give_back();

  /// Appends the ciphertext for the peer to `out`.
  void take_output(byte_buffer& out);

  state current() const { return state_; }
  /// The peer's host id; empty before `open`.
  const std::string& peer_host() const { return peer_host_; }
  const std::string& problem() const { return problem_; }

private:
  struct impl;
  void advance_handshake();
  void fail(const char* doing);

  std::unique_ptr<impl> impl_;
  state state_ = state::handshaking;
  std::size_t handshake_bytes_ = 0;
  std::string peer_host_;
  std::string problem_;
};

} // namespace prunella::net
