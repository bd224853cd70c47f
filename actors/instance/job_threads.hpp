#pragma once

// A few threads for work that waits for programs and disks, so that an actor does not. Each job hands back what is to be
// done with its result, which the actor does itself: no state is shared between the two.

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace prunella::actors {

class job_threads {
public:
  using completion = std::function<void()>;
  /// Runs in one of the threads. Bounded in time by itself. One that throws is over and hands nothing back.
  using job = std::function<completion()>;

  /// `on_done(key)` is called in a job's thread when it ended; the owner is then to call `finish(key)` in its own.
  job_threads(std::size_t threads, std::function<void(std::uint64_t key)> on_done);
  job_threads(const job_threads&) = delete;
  job_threads& operator=(const job_threads&) = delete;
  /// Waits for all jobs, also those that wait; completions that nobody finished are dropped.
  ~job_threads();

  /// Jobs begin in the order in which they came. The caller bounds how many there are.
  void run(job next);

  /// Calls what the job `key` handed back; once.
  void finish(std::uint64_t key);

private:
  void work();

  std::function<void(std::uint64_t)> on_done_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::deque<job> waiting_;
  std::uint64_t last_key_ = 0;
  std::map<std::uint64_t, completion> done_;
  std::vector<std::thread> threads_;
};

} // namespace prunella::actors
