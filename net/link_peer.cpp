#include "net/link_peer.hpp"

#include <algorithm>
#include <utility>

namespace prunella::net {

namespace {

/// Lives remembered per peer. A replay of an even older one would need a connection kept through that many restarts.
constexpr std::size_t max_past_lives = 64;

} // namespace

link_peer::link_peer(std::string self, std::string host, const link_timeouts& timeouts)
  : self_(std::move(self)), host_(std::move(host)), timeouts_(timeouts) {}

std::chrono::milliseconds link_peer::backoff(std::uint32_t failures, std::uint32_t random) const {
  if (failures == 0)
    return std::chrono::milliseconds(0);
  const auto doublings = std::min<std::uint32_t>(failures - 1, 20);
  const auto full = std::min<std::int64_t>(timeouts_.backoff_initial.count() << doublings, timeouts_.backoff_max.count());
  return std::chrono::milliseconds(full / 2 + (full - full / 2) * (random & 0xffff) / 0xffff);
}

void link_peer::on_dial_started(time_point now) {
  dialing_ = true;
  dial_authenticated_ = false;
  if (failures_ == 0)
    since_ = now;
}

void link_peer::on_dial_failed(time_point now, bool duplicate, std::uint32_t random) {
  dialing_ = dial_authenticated_ = false;
  if (!duplicate)
    failures_ = std::min<std::uint32_t>(failures_ + 1, 1000);
  next_dial_ = now + backoff(std::max<std::uint32_t>(failures_, 1), random);
}

hello_verdict link_peer::on_hello(const hello_frame& hello, bool dialed_by_us) const {
  if (std::find(past_lives_.begin(), past_lives_.end(), hello.incarnation) != past_lives_.end())
    return hello_verdict::stale;
  if (dialed_by_us)
    return hello_verdict::accept; // the peer decided already
  const bool we_are_smaller = self_ < host_;
  if (!up_)
    return dialing_ && dial_authenticated_ && we_are_smaller ? hello_verdict::duplicate : hello_verdict::accept;
  const bool other_life = hello.incarnation != incarnation_;
  const bool ours_is_dead = hello.lost_link == link_ || !dialed_by_us_;
  return other_life || ours_is_dead || !we_are_smaller ? hello_verdict::accept : hello_verdict::duplicate;
}

bool link_peer::on_up(const hello_frame& hello, bool dialed_by_us, time_point now) {
  const bool other_life = incarnation_ != 0 && incarnation_ != hello.incarnation;
  if (other_life) {
    past_lives_.push_back(incarnation_);
    if (past_lives_.size() > max_past_lives)
      past_lives_.pop_front();
  }
  up_ = true;
  dialed_by_us_ = dialed_by_us;
  dialing_ = dial_authenticated_ = false;
  incarnation_ = hello.incarnation;
  link_ = hello.link;
  since_ = now;
  return other_life;
}

void link_peer::on_down(time_point now, std::uint32_t random) {
  // A link that lasted is a fresh start; one that breaks at once again and again must not be dialed in a tight loop.
  failures_ = now - since_ >= timeouts_.backoff_max ? 0 : std::min<std::uint32_t>(failures_ + 1, 1000);
  next_dial_ = now + (failures_ > 1 ? backoff(failures_ - 1, random) : std::chrono::milliseconds(0));
  up_ = false;
  lost_link_ = link_;
  since_ = now;
}

} // namespace prunella::net
