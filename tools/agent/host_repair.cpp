#include "tools/agent/host_repair.hpp"

#include <filesystem>
#include <ostream>

#include "actors/site/membership.hpp"
#include "storage/begin_anew.hpp"
#include "storage/data_dir.hpp"
#include "storage/raft_log.hpp"
#include "tools/agent/site_file.hpp"

namespace prunella::tools {

namespace fs = std::filesystem;

int run_host_repair(const host_repair_options& options, std::ostream& out, std::ostream& err) {
  const auto site = read_site_file(options.site_file, err);
  if (!site)
    return 1;
  const auto fail = [&err](const storage::storage_error& error) {
    err << "prunella: " << error.message << '\n';
    return 1;
  };
  // Opening it checks whose it is, and that no agent is running on it.
  auto data = storage::data_dir::open(fs::absolute(options.data_dir).string(), {site->name, options.host_id});
  if (!data.ok())
    return fail(data.error());
  const auto path = data->file("raft.db");
  const auto done = storage::repair_raft_log(path, {site->name, actors::member_id_of(options.host_id)});
  if (!done.ok())
    return fail(done.error());
  // The state was made by applying entries that the log may have lost; the host builds it anew from what it gets.
  if (!done->was_sound && fs::exists(data->file("site.db")))
    if (const auto aside = storage::set_aside_once(data->file("site.db")); !aside.ok())
      return fail(aside.error());
  out << (done->was_sound ? path + " is sound; nothing was changed."
                            : done->message + " It catches up when the site has its next leader.") << '\n';
  return 0;
}

} // namespace prunella::tools
