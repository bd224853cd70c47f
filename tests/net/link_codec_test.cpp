// Messages as bytes, and bytes that are no messages. Needs an actor system for its list of announced types only.

#include <limits>
#include <random>

#include "tests/net/link_fixture.hpp"

using namespace prunella::net;

namespace {

struct codec_fixture {
  caf::error decode(std::string_view bytes, caf::message& out, const type_filter& allowed = everything()) {
    return decode_message(system, bytes, allowed, out);
  }

  std::string encode(const caf::message& content) {
    byte_buffer out;
    REQUIRE_FALSE(encode_message(system, content.content(), out));
    return std::string(out.begin(), out.end());
  }

  static type_filter everything() {
    return [](std::string_view) { return true; };
  }

  static std::string with_type(const std::string& name, const std::string& values) {
    return std::string("\x01") + static_cast<char>(name.size()) + name + values;
  }

  struct config_type : caf::actor_system_config {
    config_type() {
      set("scheduler.max-threads", std::size_t{1});
      announce_test_types(*this);
      add_message_type<std::vector<std::string>>("strings");
      add_message_type<std::vector<std::vector<std::uint64_t>>>("nested");
      add_message_type<std::vector<char>>("bytes");
      add_message_type<std::map<std::string, double>>("measures");
    }
  } config;
  caf::actor_system system{config};
};

} // namespace

TEST_CASE_FIXTURE(codec_fixture, "every kind of value comes out as it went in") {
  const std::map<std::string, double> measures{
    {"pi", 3.14}, {"min", std::numeric_limits<double>::lowest()}, {"none", 0.0}};
  const auto sent = caf::make_message(question{std::numeric_limits<std::uint64_t>::max(), std::string(300, 'x')},
                                      std::int8_t{-1}, std::int16_t{-300}, std::int32_t{-70000}, -5'000'000'000,
                                      true, 1.5f, measures, std::vector<std::string>{"", "a"}, std::vector<char>(200, 'x'),
                                      std::u16string(u"\u00e4"), caf::atom("hello"));
  caf::message got;
  REQUIRE_FALSE(decode(encode(sent), got));
  CHECK(caf::to_string(got) == caf::to_string(sent));
  CHECK(got.get_as<question>(0) == sent.get_as<question>(0));
  CHECK(got.get_as<std::map<std::string, double>>(7) == measures);
}

TEST_CASE_FIXTURE(codec_fixture, "a type that is not allowed is refused before its value is read") {
  caf::message got;
  const auto only_questions = [](std::string_view name) { return name == announced_name<question>(); };
  // The value is garbage: were it read, the error would be `malformed`.
  CHECK(decode(with_type(announced_name<secret_order>(), "?"), got, only_questions) == link_errc::type_not_allowed);
  CHECK(decode(with_type("test::nonsense", "?"), got) == link_errc::type_not_allowed);
  // One forbidden value among allowed ones is enough.
  CHECK(decode(encode(caf::make_message(question{}, secret_order{})), got, only_questions) ==
        link_errc::type_not_allowed);
}

TEST_CASE_FIXTURE(codec_fixture, "a type that is not announced cannot be sent, and the error says what to do") {
  struct config_without_types : caf::actor_system_config {
  } bare;
  caf::actor_system other(bare);
  byte_buffer out;
  const auto refused = encode_message(other, caf::make_message(question{}).content(), out);
  CHECK(refused == link_errc::type_not_allowed);
  CHECK(describe(refused).find("type-id block") != std::string::npos);
}

TEST_CASE_FIXTURE(codec_fixture, "lengths beyond the bytes that are left are refused without memory for them") {
  const std::string four_billion("\xff\xff\xff\xff\x0f", 5);
  const std::string endless(20, '\xff');
  caf::message got;
  for (const auto& type : {std::string("bytes"), std::string("strings"), std::string("nested"), std::string("@str"),
                           std::string("@u16str"), std::string("measures"), announced_name<note>()}) {
    CAPTURE(type);
    CHECK(decode(with_type(type, four_billion), got) == link_errc::malformed);
    CHECK(decode(with_type(type, endless), got) == link_errc::malformed);
    CHECK(decode(with_type(type, "\x02" + std::string("x")), got) == link_errc::malformed);
    CHECK(decode(with_type(type, ""), got) == link_errc::malformed);
  }
}

TEST_CASE_FIXTURE(codec_fixture, "bytes behind the values, and a list of types that is cut off, are refused") {
  caf::message got;
  const auto whole = encode(caf::make_message(question{1, "x"}));
  CHECK_FALSE(decode(whole, got));
  CHECK(decode(whole + "x", got) == link_errc::malformed);
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK(decode(whole.substr(0, size), got) == link_errc::malformed);
  CHECK(decode(std::string("\x11") + std::string(100, '\0'), got) == link_errc::malformed);
}

TEST_CASE_FIXTURE(codec_fixture, "handles of actors do not cross") {
  caf::message got;
  for (const auto* type : {"@actor", "@addr", "@strong_actor_ptr", "@weak_actor_ptr", "@group"}) {
    CAPTURE(type);
    CHECK(decode(with_type(type, std::string(64, '\x01')), got));
  }
}

TEST_CASE_FIXTURE(codec_fixture, "mutated messages are read or refused, never more") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto whole = encode(caf::make_message(question{7, "seven"}, note{{1, 2, 3}}, std::vector<std::string>{"a", "bc"}));
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = whole;
    for (auto changes = 1 + random() % 3; changes > 0; --changes)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    caf::message got;
    refused += decode(bytes, got) ? 1 : 0;
  }
  CHECK(refused > 1'000);
  CHECK(refused < 20'000);
}

TEST_CASE_FIXTURE(codec_fixture, "an error keeps its category, code and sentence, a sentence too long is cut") {
  const auto round_trip = [](const caf::error& sent) {
    byte_buffer bytes;
    encode_error(sent, bytes);
    CHECK(bytes.size() <= max_control_bytes - 17);
    return decode_error({bytes.data(), bytes.size()});
  };
  const auto got = round_trip(caf::make_error(link_errc::queue_full, "the queue of 'x' is full"));
  CHECK(got == link_errc::queue_full);
  CHECK(describe(got) == "the queue of 'x' is full");
  CHECK(round_trip(caf::make_error(caf::sec::unexpected_message)) == caf::sec::unexpected_message);
  CHECK(round_trip(caf::make_error(link_errc::timeout, std::string(5000, 'x'))) == link_errc::timeout);
  CHECK(decode_error("short") == link_errc::malformed);
  CHECK(decode_error(std::string(9, '\0')) == link_errc::malformed);
}

TEST_CASE("every link error has a sentence, and says whether to try again") {
  for (int code = 1; code <= 10; ++code)
    CHECK(render_link_error(static_cast<std::uint8_t>(code), link_category, caf::message{}) != "unknown link error");
  CHECK(is_retryable(caf::make_error(link_errc::host_unreachable)));
  CHECK_FALSE(is_retryable(caf::make_error(link_errc::type_not_allowed)));
  CHECK_FALSE(is_retryable(caf::make_error(caf::sec::request_timeout)));
  CHECK_FALSE(is_retryable(caf::error{}));
}
