#pragma once

// Why a supervised actor ended or a supervisor refused, as one sentence per code. No CAF here: `exit_reason.hpp` makes
// caf::error of it and reads caf::error as text.

#include <cstdint>
#include <string_view>

namespace prunella::runtime {

/// Category "supervisor". Values are stable: append only.
enum class supervision_errc : std::uint8_t {
  none = 0,
  gave_up = 1,
  start_failed = 2,
  exception = 3,
  unkillable = 4,
  not_found = 5,
  already_present = 6,
  already_started = 7,
  running = 8,
  restarting = 9,
  shutting_down = 10,
  invalid_spec = 11,
  too_many_children = 12,
  too_many_waiting = 13,
  terminated = 14,
};

/// When it happens, as a sentence without its subject's details.
constexpr std::string_view sentence(supervision_errc code) {
  switch (code) {
  case supervision_errc::none:
    return "no error";
  case supervision_errc::gave_up:
    return "the supervisor gave up: its children needed more restarts than its intensity allows";
  case supervision_errc::start_failed:
    return "a child could not be started";
  case supervision_errc::exception:
    return "the actor threw an exception";
  case supervision_errc::unkillable:
    return "a child did not end although it was killed: one of its handlers does not return";
  case supervision_errc::not_found:
    return "the supervisor has no child of that id";
  case supervision_errc::already_present:
    return "the supervisor has a stopped child of that id: restart or delete it";
  case supervision_errc::already_started:
    return "the supervisor has a running child of that id: terminate and delete it first";
  case supervision_errc::running:
    return "the child is running: terminate it first";
  case supervision_errc::restarting:
    return "the child is about to be restarted: terminate it first";
  case supervision_errc::shutting_down:
    return "the supervisor is shutting down";
  case supervision_errc::invalid_spec:
    return "the child spec is invalid";
  case supervision_errc::too_many_children:
    return "the supervisor has as many children as it may have";
  case supervision_errc::too_many_waiting:
    return "too many requests already wait for this child to end: ask again later";
  case supervision_errc::terminated:
    return "the child was terminated before it was ready";
  }
  return "unknown supervision error";
}

/// Whether the same request can succeed later without anybody changing it.
constexpr bool is_retryable(supervision_errc code) {
  return code == supervision_errc::restarting || code == supervision_errc::too_many_waiting ||
         code == supervision_errc::start_failed || code == supervision_errc::shutting_down;
}

} // namespace prunella::runtime
