#pragma once

// Two or more hosts with real links on loopback, and a hand-driven peer that can break every rule.

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "net/link_codec.hpp"
#include "net/link_socket.hpp"
#include "net/links.hpp"
#include "net/tls_session.hpp"

namespace prunella::net {

struct question {
  std::uint64_t number = 0;
  std::string text;

  PRUNELLA_FIELDS(question, number, text)
};

struct reply {
  std::uint64_t number = 0;
  std::string text;

  PRUNELLA_FIELDS(reply, number, text)
};

struct note {
  std::vector<std::uint64_t> numbers;

  PRUNELLA_FIELDS(note, numbers)
};

/// Announced, but on no allow-list.
struct secret_order {
  std::uint64_t number = 0;

  PRUNELLA_FIELDS(secret_order, number)
};

template <class Type>
std::string announced_name() {
  return std::string("test::") + std::string(Type::type_name);
}

inline void announce_test_types(caf::actor_system_config& config) {
  config.add_message_type<question>(announced_name<question>());
  config.add_message_type<reply>(announced_name<reply>());
  config.add_message_type<note>(announced_name<note>());
  config.add_message_type<secret_order>(announced_name<secret_order>());
  config.add_error_category(link_category, render_link_error);
}

/// A directory that goes with the test.
class scratch {
public:
  scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "prunella-links-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
};

/// Two sites with the same host ids and different CAs, made once per test run.
struct test_identities {
  test_identities() {
    create_site_identity(dir.path() / "ours", "shop", {"host-1", "host-2", "host-3", "stranger"});
    create_site_identity(dir.path() / "theirs", "other", {"host-1", "host-2"});
  }

  host_identity ours(const std::string& host) const { return load(dir.path() / "ours", host); }
  host_identity theirs(const std::string& host) const { return load(dir.path() / "theirs", host); }

  static host_identity load(const std::filesystem::path& dir, const std::string& host) {
    return load_identity(host_identity_dir(dir, host), host);
  }

  scratch dir;
};

inline const test_identities& identities() {
  static const test_identities made;
  return made;
}

inline caf::actor spawn_answerer(caf::actor_system& system) {
  return system.spawn([](caf::event_based_actor*) -> caf::behavior {
    return {[](const question& asked) { return reply{asked.number + 1, asked.text}; }};
  });
}

struct link_system_config : caf::actor_system_config {
  link_system_config() {
    load<caf::io::middleman>();
    set("scheduler.max-threads", std::size_t{2});
    announce_test_types(*this);
  }
};

/// For messages of checks: also right when there is an answer.
inline std::string why(const caf::expected<reply>& result) {
  return result.engaged() ? "an answer" : describe(result.error());
}

constexpr auto test_patience = std::chrono::seconds(20);

/// One host: its actor system, its links, and an exported actor `answerer`.
struct link_host {
  explicit link_host(const std::string& host_id, std::vector<link_peer_address> peers = {},
                     const std::function<void(link_options&)>& adjust = {}) {
    options.host = host_id;
    options.identity = identities().ours(host_id);
    options.listen = "127.0.0.1:0";
    options.peers = std::move(peers);
    answerer = spawn_answerer(system);
    options.exports["answerer"] = {[this] { return answerer; }, {announced_name<question>(), announced_name<note>()}};
    options.answer_types = {announced_name<reply>()};
    if (adjust)
      adjust(options);
    all = make_links(system, options);
    io = all->start();
    address = status().listen;
  }
  link_host(const link_host&) = delete;
  link_host& operator=(const link_host&) = delete;

  ~link_host() {
    stop();
    caf::anon_send_exit(answerer, caf::exit_reason::user_shutdown);
    answerer = nullptr;
  }

  void stop() {
    if (!io)
      return;
    self->monitor(io);
    self->send_exit(io, caf::exit_reason::user_shutdown);
    bool down = false;
    self->receive([&](const caf::down_msg&) { down = true; },
                  caf::after(test_patience) >> [] { FAIL("the links did not stop"); });
    CHECK(down);
    io = nullptr;
  }

  link_status status() {
    std::optional<link_status> result;
    self->request(io, test_patience, get_link_status{})
      .receive([&](link_status& got) { result = std::move(got); },
               [&](caf::error& failed) { FAIL("no link status: " << describe(failed)); });
    return result.value_or(link_status{});
  }

  void subscribe() { self->send(io, subscribe_links{self}); }

  link_up await_up() {
    std::optional<link_up> result;
    self->receive([&](link_up& event) { result = event; },
                  caf::after(test_patience) >> [] { FAIL("no link came up"); });
    return result.value_or(link_up{});
  }

  link_down await_down() {
    std::optional<link_down> result;
    self->receive([&](link_down& event) { result = event; },
                  caf::after(test_patience) >> [] { FAIL("no link went down"); });
    return result.value_or(link_down{});
  }

  link_problem await_problem() {
    std::optional<link_problem> result;
    self->receive([&](link_problem& event) { result = event; },
                  caf::after(test_patience) >> [] { FAIL("no link had a problem"); });
    return result.value_or(link_problem{});
  }

  /// The answer, or the error.
  template <class Message>
  caf::expected<reply> ask(const caf::actor& target, const Message& message,
                           std::chrono::milliseconds timeout = test_patience) {
    caf::expected<reply> result = caf::error{};
    self->request(target, timeout, message)
      .receive([&](reply& got) { result = std::move(got); }, [&](caf::error& failed) { result = failed; });
    return result;
  }

  caf::expected<reply> ask(const std::string& host, const std::string& name, std::uint64_t number = 1) {
    return ask(all->remote(host, name), question{number, "how are you"});
  }

  link_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  link_options options;
  caf::actor answerer;
  std::shared_ptr<links> all;
  caf::actor io;
  std::string address;
};

/// Tells both of each other; returns when the link is up on both sides.
inline void connect(link_host& a, link_host& b) {
  a.subscribe();
  b.subscribe();
  a.self->send(a.io, set_peers{{{b.options.host, b.address}}});
  b.self->send(b.io, set_peers{{{a.options.host, a.address}}});
  CHECK(a.await_up().host == b.options.host);
  CHECK(b.await_up().host == a.options.host);
}

/// A peer made of a blocking socket and, if it has an identity, TLS. Every wait is bounded.
class raw_peer {
public:
  explicit raw_peer(const std::string& address) {
    socket_address parsed;
    std::string problem;
    REQUIRE(parse_socket_address(address, parsed, problem));
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd_ >= 0);
    REQUIRE(::connect(fd_, reinterpret_cast<const sockaddr*>(&parsed.storage), parsed.size) == 0);
    set_no_delay(fd_);
  }
  raw_peer(const std::string& address, const host_identity& identity) : raw_peer(address) {
    context_.emplace(identity);
    tls_.emplace(*context_, tls_role::client);
    host_ = identity.host_id;
  }
  raw_peer(const raw_peer&) = delete;
  raw_peer& operator=(const raw_peer&) = delete;
  ~raw_peer() { hang_up(); }

  void hang_up() {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = -1;
  }

  void send_bytes(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0)
        return; // the other side closed: what the test is about shows in what is read
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  /// Runs the handshake; false if the other side refused it or was silent.
  bool handshake() {
    send_output();
    while (tls_->current() == tls_session::state::handshaking)
      if (!receive_some())
        return false;
    send_output();
    return tls_->current() == tls_session::state::open;
  }

  hello_frame make_hello(std::uint64_t incarnation) const {
    hello_frame hello;
    hello.incarnation = incarnation;
    hello.link = incarnation + 1;
    hello.window_bytes = 8 << 20;
    hello.request_slots = 100;
    hello.max_frame = 1 << 20;
    hello.host = host_;
    return hello;
  }

  void send_frames(const byte_buffer& frames) {
    tls_->write({frames.data(), frames.size()});
    send_output();
  }

  /// Handshake and hello; false unless the other side said hello too.
  bool join(std::uint64_t incarnation) {
    if (!handshake())
      return false;
    byte_buffer hello;
    append_hello(hello, make_hello(incarnation));
    send_frames(hello);
    const auto in = read_frame();
    return in && in->kind == frame_kind::hello && parse_hello(in->payload, their_hello_);
  }

  /// The next frame, or none if the connection ended (or was silent too long). Views end with the next read.
  std::optional<frame> read_frame() {
    frame in;
    for (;;) {
      switch (decoder_.next(in)) {
      case frame_decoder::result::frame:
        return in;
      case frame_decoder::result::malformed:
        FAIL("the other side sent a malformed frame: " << decoder_.problem());
        return {};
      case frame_decoder::result::need_more:
        break;
      }
      const auto got = tls_->read(decoder_.prepare(16384), 16384);
      decoder_.commit(got);
      if (got == 0 && !receive_some())
        return {};
    }
  }

  /// Reads until the other side closes; true if it did, and says goodbye's reason if there was one.
  bool closed_by_peer() {
    if (tls_ && tls_->current() == tls_session::state::open)
      while (const auto in = read_frame())
        if (in->kind == frame_kind::goodbye)
          goodbye = static_cast<goodbye_reason>(in->id);
    while (!eof_)
      if (!receive_some())
        break;
    return eof_;
  }

  std::uint64_t their_incarnation() const { return their_hello_.incarnation; }
  const hello_frame& their_hello() const { return their_hello_; }
  tls_session& tls() { return *tls_; }
  int fd() const { return fd_; }
  std::optional<goodbye_reason> goodbye;

  void send_output() {
    byte_buffer out;
    tls_->take_output(out);
    send_bytes({out.data(), out.size()});
  }

private:
  /// False at the end of the connection, or after `test_patience`.
  bool receive_some() {
    if (eof_)
      return false;
    pollfd wait{fd_, POLLIN, 0};
    if (::poll(&wait, 1, static_cast<int>(std::chrono::milliseconds(test_patience).count())) != 1)
      return false;
    char buffer[16384];
    const auto got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got <= 0) {
      eof_ = true;
      return false;
    }
    if (tls_) {
      tls_->feed({buffer, static_cast<std::size_t>(got)});
      send_output();
    }
    return true;
  }

  int fd_ = -1;
  bool eof_ = false;
  std::string host_;
  std::optional<tls_context> context_;
  std::optional<tls_session> tls_;
  frame_decoder decoder_{1 << 20};
  hello_frame their_hello_;
};

} // namespace prunella::net
