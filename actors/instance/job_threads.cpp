#include "actors/instance/job_threads.hpp"

#include <exception>
#include <utility>

#include "actors/instance/thread_without_signals.hpp"

namespace prunella::actors {

namespace {

job_threads::completion run_to_end(const job_threads::job& job) {
  try {
    return job();
  } catch (const std::exception&) { // no memory, no thread: who cares for the reason catches it in the job
    return {};
  }
}

} // namespace

job_threads::job_threads(std::size_t threads, std::function<void(std::uint64_t)> on_done) : on_done_{std::move(on_done)} {
  for (std::size_t i = 0; i < threads; ++i)
    threads_.push_back(thread_without_signals([this] { work(); }));
}

job_threads::~job_threads() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_)
    thread.join();
}

void job_threads::run(job next) {
  {
    const std::lock_guard lock{mutex_};
    waiting_.push_back(std::move(next));
  }
  changed_.notify_one();
}

void job_threads::finish(std::uint64_t key) {
  completion found;
  {
    const std::lock_guard lock{mutex_};
    auto node = done_.extract(key);
    if (node)
      found = std::move(node.mapped());
  }
  if (found)
    found();
}

void job_threads::work() {
  for (;;) {
    job next;
    {
      std::unique_lock lock{mutex_};
      changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty())
        return;
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    auto completed = run_to_end(next);
    std::uint64_t key = 0;
    {
      const std::lock_guard lock{mutex_};
      key = ++last_key_;
      done_.emplace(key, std::move(completed));
    }
    on_done_(key);
  }
}

} // namespace prunella::actors
