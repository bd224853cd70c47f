#pragma once

// The actor that owns a member's log on disk. It gathers what arrives while it writes, and writes all of it with one
// transaction and one sync (group commit).
//
// Spawned by the composition root under a `rest_for_one` supervisor before the consensus actor; permanent. It blocks in
// the disk, so the root spawns it detached. When the log fails it ends with consensus_errc::log_failed and the log's
// own sentence: nothing is acknowledged that is not on disk, and a restart opens and verifies the log again. What was
// handed to it and not answered is lost when it crashes; the members have not promised it to anybody yet.
//
// A full disk is no failure: nothing of the failed call was stored, so the same call is tried again until there is room.
// Until then nothing is answered, and what arrives waits within the bounds that raft has for unwritten entries.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/fwd.hpp>

#include "runtime/consensus/raft.hpp"
#include "storage/raft_log.hpp"

namespace prunella::runtime {

/// → log_contents. Reads the log again, after everything handed over before it is written. Never leaves the process.
struct load_log {
  /// Carries the promises of the asker's writes as soon as they are durable, without a way through its mailbox. Called in
  /// the writer's thread; as consensus_options::send.
  std::function<void(std::vector<raft_message>)> send;
};

/// Never leaves the process.
struct log_contents {
  std::shared_ptr<storage::raft_log_contents> contents; ///< the receiver's own
};

/// → `log_written` to the sender when this and everything before it survives a power cut and its promises are sent. Never
/// leaves the process.
struct log_write {
  std::shared_ptr<write_request> request; ///< the writer's own
};

/// Everything up to `ticket` is durable. Answers several `log_write` at once.
struct log_written {
  std::uint64_t ticket = 0;

  PRUNELLA_FIELDS(log_written, ticket)
};

struct log_writer_options {
  /// Opens the log; called once, in the actor's thread. Required.
  std::function<storage::result<std::unique_ptr<storage::raft_log>>()> open;
  bool detached = true;            ///< own thread; false only under virtual time
  std::function<void()> say_ready; ///< called when the log is open; may be empty
  /// Called when the disk has no room (with the log's sentence) and when it has again (with an empty text), in the actor's
  /// thread; may be empty.
  std::function<void(const std::string& why)> on_stalled;
  std::chrono::milliseconds retry_after{500}; ///< while the disk has no room
};

/// Ends with log_failed if the log cannot be opened.
caf::actor spawn_log_writer(caf::actor_system& system, log_writer_options options);

} // namespace prunella::runtime

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(prunella::runtime::load_log)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(prunella::runtime::log_contents)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(prunella::runtime::log_write)
