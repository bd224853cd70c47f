#pragma once

// `/v1/sessions`; see `views.hpp`. Bytes are in base64 (RFC 4648).

#include <cstdint>
#include <string>
#include <vector>

#include "config/fields.hpp"

namespace prunella::actors {

/// Body of `POST /v1/sessions`: runs `command` in a running container, or as a task.
struct session_request_view {
  std::string of; ///< INSTANCE[/CONTAINER]; without a container the first that is no init container
  std::vector<std::string> command;
  bool terminal = false; ///< it has one, of `rows` × `columns`
  bool input = false;    ///< the client writes; else its input is at its end
  std::uint16_t rows = 0;
  std::uint16_t columns = 0;
  bool task = false; ///< once, in a container of its own, with image and environment of a container of `of`: APPLICATION/SERVICE
  std::string term{}; ///< of a terminal: what kind it is (TERM); empty: `xterm`

  PRUNELLA_FIELDS(session_request_view, of, command, terminal, input, rows, columns, task, term)
};

/// Its answer, 201.
struct session_opened_view {
  std::string session; ///< for `/v1/sessions/{session}`
  std::string container;
  std::string host;

  PRUNELLA_FIELDS(session_opened_view, session, container, host)
};

struct session_chunk_view {
  std::uint64_t number = 0; ///< from 1
  std::string stream;       ///< stdout | stderr
  std::string data;

  PRUNELLA_FIELDS(session_chunk_view, number, stream, data)
};

/// `GET /v1/sessions/{session}?after=NUMBER&wait=5s`: chunks behind NUMBER, which the client has; to be asked again and again,
/// as a session that is not read is ended.
struct session_output_view {
  std::vector<session_chunk_view> chunks;
  bool over = false; ///< the command has ended and all its output was read
  std::int32_t exit_code = 0;
  std::string failure; ///< why it never ran; empty: it did

  PRUNELLA_FIELDS(session_output_view, chunks, over, exit_code, failure)
};

/// Body of `POST /v1/sessions/{session}/input`. → `{"taken": BYTES}`, counted from the first; the rest is to be sent again.
struct session_input_view {
  std::uint64_t from = 0; ///< bytes sent before these
  std::string data;
  bool end = false; ///< no more after these
  std::uint16_t rows = 0; ///< of the terminal now; 0: as before
  std::uint16_t columns = 0;

  PRUNELLA_FIELDS(session_input_view, from, data, end, rows, columns)
};

struct session_taken_view {
  std::uint64_t taken = 0;

  PRUNELLA_FIELDS(session_taken_view, taken)
};

} // namespace prunella::actors
