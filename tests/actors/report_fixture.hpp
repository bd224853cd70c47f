#pragma once

// Reports of instances for the tests of what carries them.

#include "actors/host/report_log.hpp"

namespace prunella::test {

inline actors::instance_report running(const std::string& instance, std::uint64_t generation) {
  actors::instance_report report;
  report.instance = instance;
  report.generation = generation;
  report.phase = actors::instance_phase::running;
  report.pid = 42;
  return report;
}

inline actors::host_heartbeat beat_of(actors::report_log& log, std::uint64_t confirmed, std::uint64_t incarnation = 1) {
  actors::host_heartbeat beat;
  beat.host = "host-1";
  beat.incarnation = incarnation;
  beat.has_reports = true;
  log.fill(beat, confirmed);
  return beat;
}

} // namespace prunella::test
