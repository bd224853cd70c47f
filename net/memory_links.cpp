#include "net/memory_links.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

#include "net/link_channels.hpp"
#include "net/link_inbound.hpp"
#include "net/link_proxy.hpp"
#include "net/memory_network.hpp"

namespace prunella::net {

namespace {

struct memory_tick {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(memory_tick, unused)
};

struct memory_peer {
  std::string address;
  std::shared_ptr<link_channel> channel;
  std::uint64_t link = 0; ///< 0: down
  std::uint64_t incarnation = 0;
  caf::strong_actor_ptr sink;
};

/// As the broker of real links, with the network's messages in place of sockets.
struct memory_links_state {
  explicit memory_links_state(caf::stateful_actor<memory_links_state>* owner) : self(owner) {}
  ~memory_links_state();

  static inline const char* name = "links";

  caf::behavior start(std::shared_ptr<link_channels> shared, std::shared_ptr<memory_network_core> wires);
  void on_up(const memory_up& up);
  void on_down(const memory_down& down);
  void on_frame(const memory_frame& arrived);
  void on_message(memory_peer& peer, const frame& in);
  void on_wake();
  void on_tick();
  void on_set_peers(const std::vector<link_peer_address>& members);
  void on_subscribe(const caf::actor& subscriber);
  void link_ended(memory_peer& peer, link_errc sent, const std::string& reason);
  void flush(memory_peer& peer);
  link_status status() const;
  template <class Event>
  void publish(const Event& event) {
    for (const auto& subscriber : subscribers)
      self->send(subscriber, event);
  }

  caf::stateful_actor<memory_links_state>* self;
  std::shared_ptr<link_channels> hub;
  std::shared_ptr<memory_network_core> network;
  std::optional<link_inbound> inbound;
  std::shared_ptr<link_consumption> consumption;
  std::map<std::string, memory_peer> peers;
  std::vector<caf::actor> subscribers;
  link_counters counters;
};

memory_links_state::~memory_links_state() {
  if (!hub)
    return;
  hub->stop();
  network->leave(hub->options.host, hub->options.incarnation, true);
}

caf::behavior memory_links_state::start(std::shared_ptr<link_channels> shared,
                                        std::shared_ptr<memory_network_core> wires) {
  hub = std::move(shared);
  network = std::move(wires);
  inbound.emplace(hub->system, hub->options);
  // No flow control here: consumption is counted and forgotten.
  consumption = std::make_shared<link_consumption>(std::make_shared<link_wakeup>(), 0xffffffffu);
  const auto handle = caf::actor_cast<caf::actor>(self);
  hub->wakeup->attach(handle);
  self->set_down_handler([this](caf::down_msg& message) {
    subscribers.erase(std::remove_if(subscribers.begin(), subscribers.end(),
                                     [&](const caf::actor& it) { return it.address() == message.source; }),
                      subscribers.end());
  });
  network->join(hub->options.host, handle, hub->options.incarnation, {}, hub->options.timeouts.idle);
  on_set_peers(hub->members());
  self->delayed_send(self, hub->options.timeouts.tick, memory_tick{});
  return {
    [this](const memory_frame& arrived) { on_frame(arrived); },
    [this](const memory_up& up) { on_up(up); },
    [this](const memory_down& down) { on_down(down); },
    [this](link_wake) { on_wake(); },
    [this](memory_tick) { on_tick(); },
    [this](const set_peers& members) { on_set_peers(members.peers); },
    [this](const subscribe_links& message) { on_subscribe(message.subscriber); },
    [this](const get_link_status&) { return status(); },
  };
}

void memory_links_state::on_up(const memory_up& up) {
  const auto it = peers.find(up.host);
  if (it == peers.end() || up.link <= it->second.link || !network->confirm_up(hub->options.host, up))
    return;
  auto& peer = it->second;
  if (peer.link != 0) {
    const bool restarted = peer.incarnation != up.incarnation;
    link_ended(peer, restarted ? link_errc::peer_restarted : link_errc::link_lost,
               restarted ? "its process was restarted" : "a newer connection took over");
  }
  peer.link = up.link;
  peer.incarnation = up.incarnation;
  peer.sink = make_answer_sink(hub->system, peer.channel, up.link);
  peer.channel->up(up.link, up.incarnation, hub->options.limits.max_frame);
  ++counters.links_up;
  publish(link_up{up.host, up.incarnation});
  flush(peer);
}

void memory_links_state::link_ended(memory_peer& peer, link_errc sent, const std::string& reason) {
  peer.link = 0;
  peer.sink = nullptr;
  peer.channel->down(sent, reason, self->clock().now());
  ++counters.links_down;
  publish(link_down{peer.channel->host(), reason});
}

void memory_links_state::on_down(const memory_down& down) {
  const auto it = peers.find(down.host);
  if (it == peers.end() || it->second.link != down.link || !network->confirm_down(hub->options.host, down))
    return;
  link_ended(it->second, link_errc::link_lost, down.reason);
  it->second.channel->unreachable(down.reason);
}

void memory_links_state::on_frame(const memory_frame& arrived) {
  const auto it = peers.find(arrived.host);
  if (it == peers.end() || it->second.link != arrived.link)
    return;
  counters.bytes_in += arrived.bytes.size();
  frame_decoder decoder(hub->options.limits.max_frame);
  decoder.push({arrived.bytes.data(), arrived.bytes.size()});
  frame in;
  if (decoder.next(in) == frame_decoder::result::frame && in.incarnation == hub->options.incarnation)
    on_message(it->second, in);
  flush(it->second);
}

void memory_links_state::on_message(memory_peer& peer, const frame& in) {
  auto& channel = *peer.channel;
  if (in.kind == frame_kind::response || in.kind == frame_kind::failure) {
    if (const auto asker = channel.complete(in.id)) {
      ++counters.answers_in;
      inbound->answer(in, asker);
    }
    return;
  }
  const bool request = in.kind == frame_kind::request;
  caf::error refused;
  if (request) {
    const auto slot = channel.begin_request(in.id, self->clock().now(), hub->options.limits.request_slots);
    if (slot == link_channel::slot::duplicate)
      return; // the network doubled it, and the first one is still under way
    if (slot == link_channel::slot::none_free)
      refused = caf::make_error(link_errc::queue_full, "too many requests of this host are unanswered there");
  }
  if (!refused)
    refused = inbound->deliver(channel.host(), in, peer.sink, consumption).refused;
  ++(refused ? counters.messages_refused : counters.messages_in);
  if (refused && request)
    channel.refuse(peer.link, in.id, refused);
}

void memory_links_state::flush(memory_peer& peer) {
  while (peer.link != 0 && peer.channel->has_waiting()) {
    byte_buffer frames;
    // One byte of room takes one frame: each has its own fate.
    send_window unlimited(0xffffffffu, 0xffffffffu);
    peer.channel->take(frames, 1, unlimited);
    if (frames.empty())
      return;
    counters.bytes_out += frames.size();
    network->transmit(hub->options.host, peer.channel->host(), peer.link, std::move(frames));
  }
}

void memory_links_state::on_wake() {
  hub->wakeup->seen();
  for (auto& [host, peer] : peers)
    flush(peer);
}

void memory_links_state::on_tick() {
  for (auto& [host, peer] : peers)
    peer.channel->expire(self->clock().now());
  self->delayed_send(self, hub->options.timeouts.tick, memory_tick{});
}

void memory_links_state::on_set_peers(const std::vector<link_peer_address>& members) {
  hub->set_members(members);
  std::set<std::string> wanted;
  for (const auto& member : members)
    if (member.host != hub->options.host)
      wanted.insert(member.host);
  for (auto it = peers.begin(); it != peers.end();) {
    if (wanted.count(it->first) > 0) {
      ++it;
      continue;
    }
    const auto* text = "it is not a member of this site any more";
    if (it->second.link != 0)
      link_ended(it->second, link_errc::link_lost, text);
    it->second.channel->unreachable(text);
    it = peers.erase(it);
  }
  for (const auto& member : members) {
    if (wanted.count(member.host) == 0)
      continue;
    auto& peer = peers[member.host];
    peer.address = member.address;
    if (peer.channel)
      continue;
    peer.channel = hub->channel(member.host);
    peer.channel->connecting(self->clock().now());
  }
  network->set_members(hub->options.host, hub->options.incarnation, wanted);
}

void memory_links_state::on_subscribe(const caf::actor& subscriber) {
  if (!subscriber || std::find(subscribers.begin(), subscribers.end(), subscriber) != subscribers.end())
    return;
  self->monitor(subscriber);
  subscribers.push_back(subscriber);
  for (const auto& [host, peer] : peers)
    if (peer.link != 0)
      self->send(subscriber, link_up{host, peer.incarnation});
}

link_status memory_links_state::status() const {
  link_status result;
  result.host = hub->options.host;
  result.incarnation = hub->options.incarnation;
  result.counters = counters;
  result.counters.sends_dropped = hub->shared_counters->sends_dropped;
  result.counters.requests_failed = hub->shared_counters->requests_failed;
  result.counters.answers_late = hub->shared_counters->answers_late;
  for (const auto& [host, peer] : peers) {
    const auto shared = peer.channel->snapshot();
    result.connections += peer.link != 0 ? 1 : 0;
    link_peer_status view;
    view.host = host;
    view.address = peer.address;
    view.state = shared.state;
    view.reason = shared.reason;
    view.incarnation = peer.incarnation;
    view.waiting_bytes = shared.waiting_bytes;
    view.unanswered = shared.unanswered;
    view.in_flight = shared.in_flight;
    result.peers.push_back(std::move(view));
  }
  return result;
}

class memory_host final : public links {
public:
  memory_host(caf::actor_system& system, link_options options, std::shared_ptr<memory_network_core> network)
    : hub_(std::make_shared<link_channels>(system, std::move(options))), network_(std::move(network)) {}

  caf::actor start() override {
    hub_->start();
    return hub_->system.spawn(
      [](caf::stateful_actor<memory_links_state>* self, std::shared_ptr<link_channels> hub,
         std::shared_ptr<memory_network_core> network) {
        return self->state.start(std::move(hub), std::move(network));
      },
      hub_, network_);
  }

  caf::actor remote(const std::string& host, const std::string& name) override {
    return make_remote_proxy(hub_->system, hub_->channel(host), name);
  }

  std::uint64_t incarnation() const override { return hub_->options.incarnation; }

private:
  std::shared_ptr<link_channels> hub_;
  std::shared_ptr<memory_network_core> network_;
};

} // namespace

memory_network::memory_network(caf::actor_system& system, std::uint64_t seed, memory_faults faults)
  : core_(std::make_shared<memory_network_core>(seed, faults)), system_(system) {}

std::shared_ptr<links> memory_network::attach(link_options options) {
  require_valid(options);
  core_->power_off(options.host);
  if (options.incarnation == 0)
    options.incarnation = core_->next_life();
  return std::make_shared<memory_host>(system_, std::move(options), core_);
}

void memory_network::set_faults(memory_faults faults) {
  core_->set_faults(faults);
}

void memory_network::cut(const std::string& a, const std::string& b) {
  core_->cut(a, b);
}

void memory_network::isolate(const std::string& host) {
  for (const auto& other : core_->hosts())
    if (other != host)
      core_->cut(host, other);
}

void memory_network::heal(const std::string& a, const std::string& b) {
  core_->heal(a, b);
}

void memory_network::heal() {
  for (const auto& [a, b] : core_->cuts())
    core_->heal(a, b);
}

void memory_network::power_off(const std::string& host) {
  core_->power_off(host);
}

std::uint64_t memory_network::sent() const {
  return core_->sent;
}

std::uint64_t memory_network::delivered() const {
  return core_->delivered;
}

} // namespace prunella::net
