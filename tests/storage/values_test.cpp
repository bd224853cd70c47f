// The pure parts: marks, checksums, errors, identity texts.

#include <doctest/doctest.h>

#include <set>

#include "storage/checksum.hpp"
#include "storage/commit_mark.hpp"
#include "storage/data_dir.hpp"
#include "storage/errors.hpp"
#include "storage/mounts.hpp"

using namespace prunella::storage;

TEST_CASE("a log is behind its mark by an older revision or, at the same one, by a lower index, and not otherwise") {
  CHECK(is_behind({1, 100}, {2, 0}));
  CHECK(is_behind({2, 9}, {2, 10}));
  CHECK_FALSE(is_behind({2, 10}, {2, 10}));
  CHECK_FALSE(is_behind({2, 11}, {2, 10}));
  CHECK_FALSE(is_behind({3, 4}, {2, 10})); // truncated since: the mark lags after a power cut
}

TEST_CASE("a mark comes back from its bytes, and no single flipped bit or missing byte of them is taken for one") {
  const auto bytes = encode_mark({7, 1234567890123});
  const auto back = decode_mark(bytes);
  REQUIRE(back.has_value());
  CHECK(back->revision == 7);
  CHECK(back->last_index == 1234567890123);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto harmed = bytes;
    harmed[bit / 8] = static_cast<char>(static_cast<unsigned char>(harmed[bit / 8]) ^ (1u << (bit % 8)));
    REQUIRE_FALSE(decode_mark(harmed).has_value());
  }
  CHECK_FALSE(decode_mark(bytes.substr(1)).has_value());
  CHECK_FALSE(decode_mark(bytes + "x").has_value());
  CHECK_FALSE(decode_mark("").has_value());
}

TEST_CASE("a checksum is the first 16 bytes of SHA-256, here of eight zero bytes for the number 0") {
  const auto sum = checksum_builder().begin().add(std::uint64_t{0}).finish();
  const checksum expected{0xaf, 0x55, 0x70, 0xf5, 0xa1, 0x81, 0x0b, 0x7a,
                          0xf7, 0x8c, 0xaf, 0x4b, 0xc7, 0x0a, 0x66, 0x0f};
  CHECK(sum == expected);
}

TEST_CASE("moving a byte from one part to the next changes the checksum") {
  checksum_builder sums;
  const auto one = sums.begin().add("ab").add("c").finish();
  const auto other = sums.begin().add("a").add("bc").finish();
  CHECK(one != other);
  CHECK(one == sums.begin().add("ab").add("c").finish());
}

TEST_CASE("each error code has its own name, and only a full disk is worth trying again") {
  std::set<std::string_view> names;
  for (int code = 1; code <= 9; ++code) {
    names.insert(to_text(static_cast<storage_errc>(code)));
    CHECK(is_retryable(static_cast<storage_errc>(code)) == (code == static_cast<int>(storage_errc::disk_full)));
  }
  CHECK(names.size() == 9);
  CHECK(names.count("unknown") == 0);
}

TEST_CASE("an identity is accepted from its own text and refused with a fitting code from every other") {
  const host_owner owner{"harbour", "host-1"};
  const auto code_of = [&](const std::string& text) {
    const auto outcome = check_identity_text(text, owner, "/data");
    return outcome ? std::string("ok") : std::string(to_text(outcome.error().code));
  };
  CHECK(code_of(identity_text(owner)) == "ok");
  CHECK(code_of(identity_text({"harbour", "host-2"})) == "foreign");
  CHECK(code_of(identity_text({"mill", "host-1"})) == "foreign");
  CHECK(code_of("prunella-data-directory 2\nsite harbour\nhost host-1\n") == "newer-format");
  CHECK(code_of("prunella-data-directory 0\nsite harbour\nhost host-1\n") == "older-format");
  CHECK(code_of("prunella-data-directory 999999999\n") == "newer-format");
  CHECK(code_of("prunella-data-directory 9999999999\n") == "damaged");
  CHECK(code_of("prunella-data-directory -1\n") == "damaged");
  CHECK(code_of("prunella-data-directory 1\nsite harbour\n") == "damaged");
  CHECK(code_of("prunella-data-directory 1\nhost harbour\nsite host-1\n") == "damaged");
  CHECK(code_of("") == "damaged");
}

TEST_CASE("mounts below a folder are those on it and in it, in their order and under their own names, not those of a longer name") {
  const std::string table = "22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
                            "30 22 0:30 / /data/run rw - tmpfs none rw\n"
                            "31 30 0:30 / /data/run/a\\040b\\134 rw - tmpfs none rw\n"
                            "32 22 0:30 / /data/run-2 rw - tmpfs none rw\n"
                            "33 31 0:30 / /data/run/a\\040b\\134/c rw - tmpfs none rw\n";
  CHECK(mounts_below(table, "/data/run") == std::vector<std::string>{"/data/run", "/data/run/a b\\", "/data/run/a b\\/c"});
  CHECK(mounts_below(table, "/data/run/a b\\/c") == std::vector<std::string>{"/data/run/a b\\/c"});
  CHECK(mounts_below(table, "/data/run/none").empty());
  CHECK(mounts_below("", "/data").empty());
}
