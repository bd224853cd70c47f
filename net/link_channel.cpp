#include "net/link_channel.hpp"

#include <algorithm>
#include <utility>

#include <caf/send.hpp>

#include "net/link_codec.hpp"
#include "net/links.hpp"

namespace prunella::net {

namespace {

/// Of this thread.
struct burst_state {
  int depth = 0;
  std::vector<std::shared_ptr<link_wakeup>> to_wake; ///< one for each actor system with links, so one or two
};
thread_local burst_state burst;

} // namespace

send_burst::send_burst() { ++burst.depth; }

send_burst::~send_burst() {
  if (--burst.depth > 0)
    return;
  for (const auto& wakeup : std::exchange(burst.to_wake, {}))
    wakeup->wake();
}

std::uint64_t link_wakeup::attach(caf::actor broker) {
  std::lock_guard guard(mutex_);
  broker_ = std::move(broker);
  signalled_.store(false);
  quiet_.store(false);
  return ++attached_;
}

bool link_wakeup::tick(std::uint64_t attached) {
  std::lock_guard guard(mutex_);
  if (!broker_ || attached != attached_)
    return false;
  caf::anon_send(broker_, link_tick{});
  return true;
}

void link_wakeup::detach() {
  std::lock_guard guard(mutex_);
  broker_ = nullptr;
}

void link_wakeup::wake() {
  if (burst.depth > 0) {
    auto self = shared_from_this();
    if (std::find(burst.to_wake.begin(), burst.to_wake.end(), self) == burst.to_wake.end())
      burst.to_wake.push_back(std::move(self));
    return;
  }
  if (signalled_.exchange(true))
    return;
  std::lock_guard guard(mutex_);
  if (broker_)
    caf::anon_send(broker_, link_wake{});
}

void link_asker::fail(const caf::error& reason) const {
  answer(caf::make_message(reason));
}

void link_asker::answer(caf::message content) const {
  if (actor)
    actor->enqueue(nullptr, mid.response_id(), std::move(content), nullptr);
}

link_channel::link_channel(std::string host, const link_limits& limits, const link_timeouts& timeouts,
                           std::shared_ptr<link_wakeup> wakeup, std::shared_ptr<link_shared_counters> counters)
  : host_(std::move(host)), limits_(limits), timeouts_(timeouts), wakeup_(std::move(wakeup)),
    counters_(std::move(counters)), messages_(limits.send_queue_bytes), answers_(limits.send_queue_bytes) {}

std::string link_channel::sentence(std::string_view what) const {
  return std::string("host '") + host_ + "' " + std::string(what);
}

caf::error link_channel::admit(std::string_view target, std::size_t payload_bytes, bool request) const {
  const auto bytes = message_frame_bytes(target, payload_bytes);
  const auto longest = phase_ == phase::up ? std::min(limits_.max_frame, peer_max_frame_) : limits_.max_frame;
  if (target.empty() || target.size() > max_target_bytes)
    return caf::make_error(link_errc::unknown_name, "an actor's name has 1 to 255 bytes");
  if (bytes - 4 > longest)
    return caf::make_error(link_errc::too_large, "a message of " + std::to_string(payload_bytes) +
                                                   " bytes is longer than a link to " + sentence("carries (") +
                                                   std::to_string(longest) + " bytes a frame)");
  if (phase_ == phase::down)
    return caf::make_error(link_errc::host_unreachable, sentence("cannot be reached: ") + down_reason_);
  if (!messages_.has_room(bytes, request))
    return caf::make_error(link_errc::queue_full, sentence("does not take messages as fast as they are sent: ") +
                                                    std::to_string(messages_.waiting()) + " bytes wait for it already");
  return caf::none;
}

void link_channel::mark_waiting() {
  if (!waiting_.exchange(true) || phase_ == phase::up)
    wakeup_->wake();
}

void link_channel::send(std::string_view target, std::string_view payload) {
  {
    std::lock_guard guard(mutex_);
    if (!admit(target, payload.size(), false)) {
      append_send(messages_.buffer(message_frame_bytes(target, payload.size())), incarnation_, target, payload);
      messages_.commit(0);
      mark_waiting();
      return;
    }
  }
  ++counters_->sends_dropped;
}

void link_channel::request(std::string_view target, std::string_view payload, link_asker asker, time_point now) {
  caf::error refused;
  {
    std::lock_guard guard(mutex_);
    refused = admit(target, payload.size(), true);
    if (!refused) {
      const auto id = ++last_id_;
      append_request(messages_.buffer(message_frame_bytes(target, payload.size())), incarnation_, id, target, payload);
      messages_.commit(id);
      pending_.emplace_hint(pending_.end(), id, pending{std::move(asker), now + timeouts_.request, false});
      mark_waiting();
      return;
    }
  }
  ++counters_->requests_failed;
  asker.fail(refused);
}

bool link_channel::finish_request(std::uint64_t link, std::uint64_t id) {
  if (phase_ == phase::up && link == link_ && in_flight_.erase(id) > 0)
    return true;
  ++counters_->answers_late;
  return false;
}

void link_channel::answer(std::uint64_t link, std::uint64_t id, std::string_view payload) {
  std::lock_guard guard(mutex_);
  if (!finish_request(link, id))
    return;
  const auto bytes = payload.size() + 21;
  caf::error refused;
  if (bytes - 4 > std::min(limits_.max_frame, peer_max_frame_))
    refused = caf::make_error(link_errc::too_large, "the answer of " + std::to_string(payload.size()) +
                                                      " bytes is longer than a link carries");
  else if (!answers_.has_room(bytes, false))
    refused = caf::make_error(link_errc::queue_full, "too many answers wait for the host that asked");
  if (!refused) {
    append_response(answers_.buffer(bytes), incarnation_, id, payload);
  } else {
    byte_buffer text;
    encode_error(refused, text);
    append_failure(failure_buffer(), incarnation_, id, {text.data(), text.size()});
  }
  answers_.commit(0);
  mark_waiting();
}

void link_channel::refuse(std::uint64_t link, std::uint64_t id, const caf::error& reason) {
  byte_buffer payload;
  encode_error(reason, payload);
  std::lock_guard guard(mutex_);
  if (!finish_request(link, id))
    return;
  append_failure(failure_buffer(), incarnation_, id, {payload.data(), payload.size()});
  answers_.commit(0);
  mark_waiting();
}

void link_channel::connecting(time_point now) {
  std::lock_guard guard(mutex_);
  if (phase_ == phase::up)
    return;
  phase_ = phase::connecting;
  connecting_since_ = now;
}

std::vector<link_asker> link_channel::drop_all_unsent() {
  counters_->sends_dropped += messages_.clear();
  answers_.clear();
  std::vector<link_asker> askers;
  for (auto it = pending_.begin(); it != pending_.end();) {
    if (it->second.sent) {
      ++it;
    } else {
      askers.push_back(std::move(it->second.asker));
      it = pending_.erase(it);
    }
  }
  return askers;
}

void link_channel::fail_all(const std::vector<link_asker>& askers, link_errc code, const std::string& text) {
  counters_->requests_failed += askers.size();
  for (const auto& asker : askers)
    asker.fail(caf::make_error(code, text));
}

void link_channel::unreachable(const std::string& reason) {
  std::vector<link_asker> askers;
  {
    std::lock_guard guard(mutex_);
    if (phase_ == phase::up)
      return;
    phase_ = phase::down;
    down_reason_ = reason;
    askers = drop_all_unsent();
  }
  fail_all(askers, link_errc::host_unreachable, sentence("cannot be reached: ") + reason);
}

void link_channel::up(std::uint64_t link, std::uint64_t incarnation, std::uint32_t max_frame) {
  std::lock_guard guard(mutex_);
  phase_ = phase::up;
  down_reason_.clear();
  link_ = link;
  incarnation_ = incarnation;
  peer_max_frame_ = max_frame;
  in_flight_.clear();
}

void link_channel::down(link_errc sent, const std::string& reason, time_point now) {
  std::vector<link_asker> unsent_askers;
  std::vector<link_asker> sent_askers;
  {
    std::lock_guard guard(mutex_);
    phase_ = phase::connecting;
    connecting_since_ = now;
    link_ = incarnation_ = 0;
    in_flight_.clear();
    unsent_askers = drop_all_unsent();
    for (auto& [id, entry] : pending_)
      sent_askers.push_back(std::move(entry.asker));
    pending_.clear();
    waiting_ = false;
  }
  fail_all(unsent_askers, link_errc::host_unreachable, sentence("cannot be reached: ") + reason);
  fail_all(sent_askers, sent,
           sentence(sent == link_errc::peer_restarted ? "was restarted after the request was sent: "
                                                      : "was lost after the request was sent: ") +
             reason);
}

void link_channel::take(byte_buffer& out, std::size_t max_bytes, send_window& credit) {
  std::lock_guard guard(mutex_);
  if (phase_ != phase::up)
    return;
  send_window unlimited(0xffffffffu, 0);
  answers_.take(out, max_bytes, unlimited, incarnation_, [](std::uint64_t) { return true; });
  messages_.take(out, max_bytes, credit, incarnation_, [this](std::uint64_t id) {
    const auto it = pending_.find(id);
    if (it == pending_.end())
      return false;
    it->second.sent = true;
    return true;
  });
  waiting_ = !answers_.empty() || !messages_.empty();
}

link_asker link_channel::complete(std::uint64_t id) {
  std::lock_guard guard(mutex_);
  const auto it = pending_.find(id);
  if (it == pending_.end() || !it->second.sent) {
    ++counters_->answers_late;
    return {};
  }
  auto asker = std::move(it->second.asker);
  pending_.erase(it);
  return asker;
}

link_channel::slot link_channel::begin_request(std::uint64_t id, time_point now, std::uint32_t slots) {
  std::lock_guard guard(mutex_);
  const bool is_new = in_flight_.emplace(id, now + timeouts_.request).second;
  if (!is_new)
    return slot::duplicate;
  return in_flight_.size() > slots ? slot::none_free : slot::taken;
}

std::uint32_t link_channel::expire(time_point now) {
  std::vector<link_asker> late;
  bool impatient = false;
  std::uint32_t freed = 0;
  {
    std::lock_guard guard(mutex_);
    while (!pending_.empty() && pending_.begin()->second.deadline <= now) {
      freed += pending_.begin()->second.sent ? 1 : 0;
      late.push_back(std::move(pending_.begin()->second.asker));
      pending_.erase(pending_.begin());
    }
    for (auto it = in_flight_.begin(); it != in_flight_.end();)
      it = it->second <= now ? in_flight_.erase(it) : std::next(it);
    impatient = phase_ == phase::connecting && now - connecting_since_ >= timeouts_.patience;
  }
  fail_all(late, link_errc::timeout,
           sentence("did not answer within ") + std::to_string(timeouts_.request.count()) + " ms");
  if (impatient)
    unreachable("no connection within " + std::to_string(timeouts_.patience.count()) + " ms; trying on");
  return freed;
}

link_channel::view link_channel::snapshot() const {
  std::lock_guard guard(mutex_);
  view result;
  result.state = phase_ == phase::up ? "up" : phase_ == phase::down ? "down" : "connecting";
  result.reason = down_reason_;
  result.waiting_bytes = messages_.waiting() + answers_.waiting();
  result.unanswered = pending_.size();
  result.in_flight = in_flight_.size();
  return result;
}

} // namespace prunella::net
