// A connection whose peer holds a valid key and says anything once TLS is up: it ends with a reason or goes on, takes no
// more than its window, and owes its peer no more than what the peer sent.
//   The input is a sequence of steps; see `act`.

#include <fuzzer/FuzzedDataProvider.h>

#include <chrono>
#include <string>

#include "net/identity.hpp"
#include "net/link_connection.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella::net;
using prunella::fuzz::require;

namespace {

std::string_view view(const byte_buffer& bytes) {
  return {bytes.data(), bytes.size()};
}

/// The identities of two hosts of one site, made once.
struct site_keys {
  tls_context ours, theirs;

  static const site_keys& get() {
    static const site_keys keys = make();
    return keys;
  }

  static site_keys make() {
    const prunella::tests::temporary_folder folder;
    create_site_identity(folder / "keys", "shop", {"host-1", "host-2"});
    const auto context = [&](const std::string& host) {
      return tls_context(load_identity(host_identity_dir(folder / "keys", host), host));
    };
    return {context("host-1"), context("host-2")};
  }
};

hello_frame hello_of(const std::string& host) {
  hello_frame hello;
  hello.incarnation = hello.link = 7;
  hello.host = host;
  hello.window_bytes = 1000;
  hello.request_slots = 2;
  return hello;
}

link_limits small_limits() {
  link_limits limits;
  limits.max_frame = 1000;
  limits.window_bytes = 2000;
  return limits;
}

class hostile_peer {
public:
  explicit hostile_peer(bool we_dial)
    : ours_(site_keys::get().ours, we_dial ? tls_role::client : tls_role::server, small_limits(), {}, hello_of("host-1"),
            we_dial ? "host-2" : "", now_),
      theirs_(site_keys::get().theirs, we_dial ? tls_role::server : tls_role::client) {
    for (int i = 0; i < 4; ++i)
      carry();
    require(theirs_.current() == tls_session::state::open, "two hosts of a site come to a TLS session");
  }

  void act(FuzzedDataProvider& input) {
    switch (input.ConsumeIntegralInRange(0, 5)) {
    case 0: say_hello(input); break;
    case 1: say_message(input); break;
    case 2:
      now_ += std::chrono::milliseconds(input.ConsumeIntegralInRange(0, 6000));
      ours_.tick(now_);
      break;
    case 3: ours_.consumed(input.ConsumeIntegralInRange<std::uint32_t>(0, 3000)); break;
    default: say(input.ConsumeRandomLengthString(300)); break;
    }
    carry();
    require(ours_.window_used() <= small_limits().window_bytes, "a peer takes no more than its window");
    require(!ours_.has_ended() || !ours_.end_text().empty() || ours_.peer_said_goodbye(), "what ends says why");
  }

private:
  void say(std::string_view plaintext) {
    if (theirs_.current() == tls_session::state::open)
      theirs_.write(plaintext);
  }

  void say_hello(FuzzedDataProvider& input) {
    byte_buffer bytes;
    auto hello = hello_of("host-2");
    hello.window_bytes = input.ConsumeIntegral<std::uint32_t>();
    hello.request_slots = input.ConsumeIntegral<std::uint32_t>();
    append_hello(bytes, hello);
    say(view(bytes));
  }

  void say_message(FuzzedDataProvider& input) {
    byte_buffer bytes;
    append_request(bytes, 7, input.ConsumeIntegral<std::uint8_t>(), "site", input.ConsumeRandomLengthString(300));
    append_credit(bytes, input.ConsumeIntegral<std::uint16_t>());
    say(view(bytes));
  }

  void carry() {
    byte_buffer bytes;
    theirs_.take_output(bytes);
    ours_.receive(view(bytes), now_);
    frame in;
    for (auto event = ours_.next(in, now_); event != link_input::nothing; event = ours_.next(in, now_))
      if (event == link_input::hello && !ours_.is_dialer())
        ours_.accept(0, now_);
    bytes.clear();
    ours_.take_output(bytes);
    theirs_.feed(view(bytes));
    char ignored[4096];
    while (theirs_.read(ignored, sizeof ignored) > 0) {
    }
  }

  link_connection::time_point now_{std::chrono::hours(1)};
  link_connection ours_;
  tls_session theirs_;
};

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  hostile_peer peer(input.ConsumeBool());
  for (int i = 0; i < 100 && input.remaining_bytes() > 0; ++i)
    peer.act(input);
  return 0;
}
