#include <doctest/doctest.h>

#include <set>
#include <string>

#include "actors/instance/image_error.hpp"
#include "runtime/exit_reason.hpp"

using namespace prunella;
using namespace prunella::actors;

TEST_CASE("every image error has a name of its own, and only those that time heals are worth another try") {
  std::set<std::string_view> names;
  std::string retryable;
  for (int code = 1; code <= 14; ++code) {
    names.insert(to_text(static_cast<image_errc>(code)));
    if (is_retryable(static_cast<image_errc>(code)))
      retryable += std::string{to_text(static_cast<image_errc>(code))} + ' ';
  }
  CHECK(names.size() == 14);
  CHECK(names.count("unknown") == 0);
  CHECK(to_text(static_cast<image_errc>(15)) == "unknown");
  CHECK(retryable == "digest_mismatch disk_full source_stalled source_unreachable too_many ended ");
}

TEST_CASE("what a store or a source refuses keeps its sentence and gets the code that who wants an image can act on") {
  using storage::storage_errc;
  const auto code = [](storage_errc x) { return to_image_failure({x, "why"}).code; };
  CHECK(code(storage_errc::denied) == image_errc::unauthorized);
  CHECK(code(storage_errc::unverified) == image_errc::digest_mismatch);
  CHECK(code(storage_errc::unsupported) == image_errc::wrong_platform);
  CHECK(code(storage_errc::stalled) == image_errc::source_stalled);
  CHECK(code(storage_errc::unreachable) == image_errc::source_unreachable);
  CHECK(code(storage_errc::io_failed) == image_errc::store_unusable);
  CHECK(to_image_failure({storage_errc::disk_full, "no room"}).message == "no room");
}

TEST_CASE("an image failure as an actor's error carries its sentence, and an empty error is none") {
  const auto error = to_error({image_errc::not_found, "no such image"});
  CHECK(is_image_error(error, image_errc::not_found));
  CHECK_FALSE(is_image_error(error, image_errc::refused));
  CHECK_FALSE(is_image_error({}, image_errc::not_found));
  CHECK(runtime::reason_text(error) == "no such image");
}
