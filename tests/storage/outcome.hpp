#pragma once

// What a `storage::result` must be.

#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "storage/errors.hpp"

namespace prunella::tests {

template <class T>
T must(storage::result<T> outcome) {
  if (!outcome)
    FAIL(outcome.error().message);
  return std::move(*outcome);
}

inline void must(const storage::result<void>& outcome) {
  if (!outcome)
    FAIL(outcome.error().message);
}

/// The error's code and that its sentence holds `words`.
template <class T>
void check_refused(const storage::result<T>& outcome, storage::storage_errc code, const std::string& words) {
  REQUIRE_FALSE(outcome.ok());
  CAPTURE(outcome.error().message);
  CHECK(storage::to_text(outcome.error().code) == storage::to_text(code));
  CHECK(outcome.error().message.find(words) != std::string::npos);
}

} // namespace prunella::tests
