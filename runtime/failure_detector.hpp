#pragma once

// Phi-accrual failure detector: N. Hayashibara, X. Défago, R. Yared, T. Katayama, "The φ Accrual Failure Detector",
// SRDS 2004. phi(t) = -log10(P(a heartbeat arrives later than t after the last one)), with the arrival intervals taken
// as normally distributed. Two practical rules come from Akka's implementation (PhiAccrualFailureDetector): a lower
// bound on the deviation, and an interval that ended in suspicion is not learnt from.
//
// Ours is bounded on both sides: never suspected before `down_after` (the profile's promise to the operator), and never
// later than `down_at_most` (a link that has been terrible must not make a dead host look alive for minutes).

#include <chrono>
#include <cstddef>
#include <deque>

#include "config/fields.hpp"
#include "runtime/instant.hpp"

namespace prunella::runtime {

struct failure_detector_options {
  std::chrono::milliseconds heartbeat{100};      ///< what the sender promises; > 0
  std::chrono::milliseconds down_after{1'000};   ///< silence shorter than this is never suspicious; >= heartbeat
  std::chrono::milliseconds down_at_most{5'000}; ///< silence this long always is; >= down_after
  double threshold = 8;                          ///< phi; 8: a wrong suspicion has probability 1e-8; > 0
  std::size_t window = 100;                      ///< arrival intervals remembered; >= 2

  PRUNELLA_FIELDS(failure_detector_options, heartbeat, down_after, down_at_most, threshold, window)
};

/// Watches one sender. A plain value; each call O(1).
class failure_detector {
public:
  /// Starts as if a heartbeat had arrived at `now`, so that a sender that never speaks is suspected as well.
  failure_detector(failure_detector_options options, instant now);

  /// A heartbeat arrived. One that is older than the last is ignored.
  void heartbeat(instant now);

  /// How unlikely the present silence is; 0 … 300, for people to look at.
  double phi(instant now) const;

  /// When suspicion begins if nothing arrives until then: the time to arm one timer for, instead of polling.
  instant suspect_at() const;

  bool is_suspect(instant now) const { return now >= suspect_at(); }

  instant last_heartbeat() const { return last_; }

private:
  double mean() const;
  double deviation() const;
  void learn(double interval_ms);

  failure_detector_options options_;
  double quantile_; ///< standard normal deviate at which phi reaches the threshold
  instant last_;
  std::deque<double> intervals_; ///< milliseconds
  double sum_ = 0;
  double sum_of_squares_ = 0;
};

} // namespace prunella::runtime
