#pragma once

// Writes on their way to the leader: again and again until one is elected or their time is over. Each states what is
// wanted, so repeating is harmless. Part of the API actor, which hands `retry_write` back to it.

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include <caf/fwd.hpp>

#include "actors/api/api_actor.hpp"
#include "actors/api/api_call.hpp"
#include "actors/api/api_requests.hpp"
#include "config/fields.hpp"

namespace prunella::actors {

struct site_answer;

struct retry_write {
  std::uint64_t call = 0;

  PRUNELLA_FIELDS(retry_write, call)
};

class api_writes {
public:
  /// Both outlive it.
  api_writes(caf::event_based_actor* self, const api_options& options) : self_(self), options_(options) {}

  /// The client is answered when it is carried out, refused, or its time is over; at once if the request holds no command or
  /// too many are unfinished.
  void begin(const api_call& call, or_problem<site_command> command);

  void attempt(std::uint64_t id);

private:
  struct write {
    changed_subject subject;
    std::string command;
    net::http_responder respond;
    runtime::instant deadline;
    bool is_delete = false;
    bool may_be_done = false; ///< an attempt ended without an answer: it may have been carried out
    std::optional<runtime::instant> leaderless_since;
  };

  void on_failed(std::uint64_t id, const std::string& leader, const caf::error& reason);
  void finish(std::uint64_t id, const site_answer& answer);
  void retry(std::uint64_t id, std::string why);

  caf::event_based_actor* self_;
  const api_options& options_;
  std::map<std::uint64_t, write> writes_;
  std::uint64_t last_write_ = 0;
};

} // namespace prunella::actors
