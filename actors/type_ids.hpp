#pragma once

// The one place where message types get the names and numbers by which hosts of a site know them. Only types that cross a
// link are here; CAF needs none for messages within a process. Append, never reorder; a removed type leaves its line as a
// comment.

#include <caf/type_id.hpp>

#include "actors/image_messages.hpp"
#include "actors/logs/log_messages.hpp"
#include "actors/messages.hpp"
#include "actors/terminal/terminal_messages.hpp"
#include "actors/use_messages.hpp"
#include "runtime/consensus/raft_message.hpp"

CAF_BEGIN_TYPE_ID_BLOCK(prunella, caf::first_custom_type_id)

  CAF_ADD_TYPE_ID(prunella, (prunella::runtime::raft_message))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::host_heartbeat))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::heartbeat_answer))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::site_request))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::site_answer))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::view_request))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::view_answer))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::events_request))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::events_answer))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::actors_request))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::actors_answer))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::kill_request))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::kill_answer))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::status_request))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::status_view))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::image_report))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::image_orders))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::find_image))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::image_found))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::read_blob))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::blob_part))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::watch_ready))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::ready_table))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::door_status_request))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::door_status_answer))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::use_request))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::use_answer))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::read_logs))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::logs_read))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::open_terminal))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::terminal_opened))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::read_terminal))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::terminal_output))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::write_terminal))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::terminal_written))
  CAF_ADD_TYPE_ID(prunella, (prunella::actors::close_terminal))

CAF_END_TYPE_ID_BLOCK(prunella)
