#include "storage/errors.hpp"

namespace prunella::storage {

std::string_view to_text(storage_errc code) {
  switch (code) {
  case storage_errc::disk_full:
    return "disk-full";
  case storage_errc::io_failed:
    return "io-failed";
  case storage_errc::damaged:
    return "damaged";
  case storage_errc::foreign:
    return "foreign";
  case storage_errc::newer_format:
    return "newer-format";
  case storage_errc::older_format:
    return "older-format";
  case storage_errc::locked:
    return "locked";
  case storage_errc::inaccessible:
    return "inaccessible";
  case storage_errc::invalid_argument:
    return "invalid-argument";
  case storage_errc::not_found:
    return "not-found";
  case storage_errc::malformed:
    return "malformed";
  case storage_errc::unsupported:
    return "unsupported";
  case storage_errc::unverified:
    return "unverified";
  case storage_errc::refused:
    return "refused";
  case storage_errc::unreachable:
    return "unreachable";
  case storage_errc::denied:
    return "denied";
  case storage_errc::stalled:
    return "stalled";
  }
  return "unknown";
}

} // namespace prunella::storage
