#pragma once

// Answers what this host and its containers use (`use_request` → `use_answer`). It measures when it is asked and at no other
// time, so an idle agent pays nothing for it; all who ask within a second get one answer. Restart type: permanent; a crash loses the
// readings, and the next answer takes half a second again. It also counts what a container with a disk limit takes
// (`instance/disk_limit.hpp`), for its container actor.

#include <chrono>
#include <functional>
#include <string>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

namespace prunella::actors {

struct use_actor_options {
  std::string data_directory;            ///< of the host: its file system, and its containers' folders
  std::function<caf::actor()> driver;    ///< an invalid handle while it is being restarted
  std::chrono::milliseconds least_span{500};      ///< between two readings of which processor use is computed
  std::chrono::milliseconds longest_span{60'000}; ///< an older reading says too little about now
  std::chrono::milliseconds same_answer{1'000};   ///< for all who ask within
  std::chrono::milliseconds disk_span{30'000};    ///< between two counts of files
  std::chrono::milliseconds driver_patience{2'000};
  std::size_t max_waiting = 64;    ///< who ask at once; more get an error
  std::size_t max_files = 20'000;  ///< counted per answer, of all containers together
  std::size_t max_limited_files = 200'000;        ///< counted of one container with a limit
  std::int64_t limited_share = 100; ///< counts for limits, all together, take at most 1/N of the time
  bool detached = false;           ///< own thread: counting files waits for the disk
};

/// Errors: `site_errc::busy` beyond `max_waiting`. If the driver does not answer, the machine's use comes alone.
caf::actor spawn_use(caf::local_actor* parent, use_actor_options options);

} // namespace prunella::actors
