#include "actors/instance/images.hpp"

namespace prunella::actors {

std::string_view to_text(image_errc code) {
  switch (code) {
  case image_errc::reference_malformed: return "reference_malformed";
  case image_errc::not_found: return "not_found";
  case image_errc::unauthorized: return "unauthorized";
  case image_errc::digest_mismatch: return "digest_mismatch";
  case image_errc::wrong_platform: return "wrong_platform";
  case image_errc::disk_full: return "disk_full";
  case image_errc::source_stalled: return "source_stalled";
  case image_errc::source_unreachable: return "source_unreachable";
  case image_errc::refused: return "refused";
  case image_errc::needs_root: return "needs_root";
  case image_errc::unreadable: return "unreadable";
  case image_errc::store_unusable: return "store_unusable";
  case image_errc::too_many: return "too_many";
  case image_errc::ended: return "ended";
  }
  return "unknown";
}

namespace {

image_errc to_image_errc(storage::storage_errc code) {
  using storage::storage_errc;
  switch (code) {
  case storage_errc::disk_full: return image_errc::disk_full;
  case storage_errc::not_found: return image_errc::not_found;
  case storage_errc::malformed: return image_errc::unreadable;
  case storage_errc::unsupported: return image_errc::wrong_platform;
  case storage_errc::unverified: return image_errc::digest_mismatch;
  case storage_errc::refused: return image_errc::refused;
  case storage_errc::stalled: return image_errc::source_stalled;
  case storage_errc::unreachable: return image_errc::source_unreachable;
  case storage_errc::denied: return image_errc::unauthorized;
  case storage_errc::io_failed:
  case storage_errc::damaged:
  case storage_errc::foreign:
  case storage_errc::newer_format:
  case storage_errc::older_format:
  case storage_errc::locked:
  case storage_errc::inaccessible:
  case storage_errc::invalid_argument: break;
  }
  return image_errc::store_unusable;
}

} // namespace

image_failure to_image_failure(const storage::storage_error& error) {
  return {to_image_errc(error.code), error.message};
}

} // namespace prunella::actors
