#pragma once

#include <signal.h>

#include <thread>
#include <utility>

namespace prunella::actors {

/// A thread that takes no signals: they belong to the agent's main thread.
template <class Function>
std::thread thread_without_signals(Function run) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread{std::move(run)};
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

} // namespace prunella::actors
