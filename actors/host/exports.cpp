#include "actors/host/exports.hpp"

#include <utility>
#include <vector>

#include <caf/message.hpp>

#include "actors/image_messages.hpp"
#include "actors/messages.hpp"
#include "actors/type_ids.hpp"

namespace prunella::actors {

std::map<std::string, net::link_export> exports_of(const std::function<caf::actor(const std::string& name)>& local,
                                                   const hosts_by_member& hosts) {
  std::map<std::string, net::link_export> result;
  const auto type = [](const char* name) { return std::string{"prunella::actors::"} + name; };
  const auto serve = [&](const std::string& name, std::vector<std::string> types) {
    result[name] = {[local, name] { return local(name); }, std::move(types), {}};
  };
  serve("consensus", {"prunella::runtime::raft_message"});
  serve("site", {type("host_heartbeat"), type("site_request"), type("view_request"), type("status_request"),
                 type("image_report"), type("watch_ready")});
  serve("images", {type("image_orders"), type("find_image"), type("read_blob")});
  serve("door", {type("door_status_request")});
  serve("journal", {type("events_request")});
  serve("use", {type("use_request")});
  serve("logs", {type("read_logs")});
  serve("terminals", {type("open_terminal"), type("read_terminal"), type("write_terminal"), type("close_terminal")});
  serve("tree", {type("actors_request"), type("kill_request")});
  // A host speaks for itself only: not for another's vote, nor for another's life.
  result["consensus"].may_say = [hosts](const std::string& peer, const caf::message& content) {
    return content.match_elements<runtime::raft_message>()
           && host_of(content.get_as<runtime::raft_message>(0).from, hosts) == peer;
  };
  result["site"].may_say = [](const std::string& peer, const caf::message& content) {
    if (content.match_elements<image_report>())
      return content.get_as<image_report>(0).host == peer;
    if (content.match_elements<watch_ready>())
      return content.get_as<watch_ready>(0).host == peer;
    return !content.match_elements<host_heartbeat>() || content.get_as<host_heartbeat>(0).host == peer;
  };
  result["images"].may_say = [](const std::string& peer, const caf::message& content) {
    return !content.match_elements<image_orders>() || content.get_as<image_orders>(0).leader == peer;
  };
  return result;
}

std::vector<std::string> answer_types() {
  std::vector<std::string> result;
  for (const auto* name : {"heartbeat_answer", "site_answer", "view_answer", "status_view", "events_answer", "actors_answer",
                           "kill_answer", "image_report", "image_found", "blob_part", "ready_table",
                           "door_status_answer", "use_answer", "logs_read", "terminal_opened", "terminal_output",
                           "terminal_written"})
    result.push_back(std::string{"prunella::actors::"} + name);
  return result;
}

} // namespace prunella::actors
