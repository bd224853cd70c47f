#include "runtime/failure_detector.hpp"

#include <algorithm>
#include <cmath>

namespace prunella::runtime {

namespace {

constexpr double max_phi = 300; // beyond it erfc underflows to 0

/// phi at `z` standard deviations above the mean.
double phi_of(double z) {
  const double later = 0.5 * std::erfc(z / std::sqrt(2.0));
  return later > 0 ? std::min(-std::log10(later), max_phi) : max_phi;
}

/// The z with phi_of(z) == phi; phi_of grows with z, so bisection finds it.
double quantile_of(double phi) {
  double low = -10;
  double high = 40;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (phi_of(middle) < phi ? low : high) = middle;
  }
  return high;
}

double to_ms(instant::duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

} // namespace

failure_detector::failure_detector(failure_detector_options options, instant now)
    : options_(options), quantile_(quantile_of(options.threshold)), last_(now) {
  // What the sender promises is the first guess, with a quarter of it as deviation (Akka: firstHeartbeat).
  const double expected = to_ms(options_.heartbeat);
  learn(expected * 0.75);
  learn(expected * 1.25);
}

void failure_detector::heartbeat(instant now) {
  if (now < last_)
    return;
  // An outage says nothing about how regular the link is when it works.
  if (!is_suspect(now))
    learn(to_ms(now - last_));
  last_ = now;
}

double failure_detector::phi(instant now) const {
  return phi_of((to_ms(now - last_) - mean()) / deviation());
}

instant failure_detector::suspect_at() const {
  const auto adaptive = std::chrono::duration<double, std::milli>(mean() + quantile_ * deviation());
  const auto silence = std::clamp(std::chrono::duration_cast<instant::duration>(adaptive),
                                  instant::duration{options_.down_after}, instant::duration{options_.down_at_most});
  return last_ + silence;
}

double failure_detector::mean() const {
  return sum_ / static_cast<double>(intervals_.size());
}

double failure_detector::deviation() const {
  const double m = mean();
  const double variance = sum_of_squares_ / static_cast<double>(intervals_.size()) - m * m;
  // A perfectly regular past must not make the first late packet a failure.
  return std::max(std::sqrt(std::max(variance, 0.0)), to_ms(options_.heartbeat) / 10);
}

void failure_detector::learn(double interval_ms) {
  intervals_.push_back(interval_ms);
  sum_ += interval_ms;
  sum_of_squares_ += interval_ms * interval_ms;
  if (intervals_.size() > options_.window) {
    sum_ -= intervals_.front();
    sum_of_squares_ -= intervals_.front() * intervals_.front();
    intervals_.pop_front();
  }
}

} // namespace prunella::runtime
