// The life of the broker: start, tick, stop, status.

#include "net/link_broker.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/io/middleman.hpp>

#include "net/link_broker_state.hpp"
#include "net/link_proxy.hpp"
#include "net/link_socket.hpp"

namespace prunella::net {

namespace {

struct ticker_due {
  std::uint64_t epoch = 0;

  PRUNELLA_FIELDS(ticker_due, epoch)
};

/// Not a timer of the broker's own: one that fires for a broker that is gone keeps all of its memory for ever (CAF
/// 0.17.6, seen with LeakSanitizer), and a kill always leaves one.
/// A `link_hurry` ends a wait that was begun when all was quiet.
caf::actor spawn_ticker(caf::actor_system& system, std::shared_ptr<link_wakeup> wakeup, std::uint64_t attached,
                        link_timeouts timeouts) {
  return system.spawn<caf::hidden>([=](caf::event_based_actor* self) {
    // Requests are forgotten by ticks too; late by no more than a quarter of their time.
    const auto quiet =
        std::max(timeouts.tick, std::min({timeouts.quiet_tick, timeouts.keep_alive / 2, timeouts.request / 4}));
    const auto epoch = std::make_shared<std::uint64_t>(0);
    const auto arm = [=](std::chrono::milliseconds period) { self->delayed_send(self, period, ticker_due{++*epoch}); };
    arm(timeouts.tick);
    return caf::behavior{[=](const ticker_due& due) {
                           if (due.epoch != *epoch)
                             return;
                           if (wakeup->tick(attached))
                             arm(wakeup->is_quiet() ? quiet : timeouts.tick);
                           else
                             self->quit();
                         },
                         [=](link_hurry) { arm(timeouts.tick); }};
  });
}

} // namespace

link_broker_state::~link_broker_state() {
  if (!hub)
    return;
  hub->stop();
  for (auto& [handle, socket] : sockets) // only after a kill
    abort_socket(socket->fd);
}

caf::behavior link_broker_state::start(std::shared_ptr<link_hub> shared) {
  hub = std::move(shared);
  inbound.emplace(hub->system, hub->options);
  std::string problem;
  if (!listen(problem)) {
    self->quit(caf::make_error(link_errc::host_unreachable, problem));
    return {};
  }
  ticker = spawn_ticker(hub->system, hub->wakeup, hub->wakeup->attach(caf::actor_cast<caf::actor>(self)),
                        hub->options.timeouts);
  self->set_exit_handler([this](caf::exit_msg& message) { on_exit_request(message.reason); });
  // CAF answers with an error also to what was only sent: a subscriber that knows no `link_problem` would end the links.
  self->set_error_handler([](caf::error&) {});
  self->set_down_handler([this](caf::down_msg& message) {
    subscribers.erase(std::remove_if(subscribers.begin(), subscribers.end(),
                                     [&](const caf::actor& it) { return it.address() == message.source; }),
                      subscribers.end());
  });
  on_set_peers(hub->members());
  return {
      [this](const caf::io::new_connection_msg& accepted) { on_accepted(accepted.handle); },
      [this](const caf::io::new_data_msg& data) { on_data(data); },
      [this](const caf::io::data_transferred_msg& written) { on_written(written); },
      [this](const caf::io::connection_closed_msg& closed) { on_closed(closed.handle); },
      [this](const caf::io::acceptor_closed_msg&) {
        if (!stopping)
          self->quit(caf::make_error(link_errc::host_unreachable, "the listening socket of the links was closed"));
      },
      [this](link_wake) { on_wake(); },
      [this](link_tick) { on_tick(); },
      [this](const set_peers& members) { on_set_peers(members.peers); },
      [this](const subscribe_links& message) { on_subscribe(message.subscriber); },
      [this](const get_link_status& message) { return status(message.peers); },
  };
}

bool link_broker_state::listen(std::string& problem) {
  socket_address address;
  if (!parse_socket_address(hub->options.listen, address, problem))
    return false;
  const int fd = listen_on(address, problem);
  if (fd < 0)
    return false;
  listening = bound_address(fd);
  doorman = self->add_doorman(fd);
  return true;
}

void link_broker_state::on_wake() {
  hub->wakeup->seen();
  for (auto& [host, entry] : peers) {
    if (entry->link != nullptr) {
      auto& socket = *entry->link;
      grant(socket);
      flush(socket);
    }
    if (entry->lookup && entry->lookup->is_done())
      on_looked_up(*entry);
  }
}

void link_broker_state::on_tick() {
  const auto time = now();
  std::vector<connection_handle> handles;
  handles.reserve(sockets.size());
  for (const auto& [handle, socket] : sockets)
    handles.push_back(handle);
  for (const auto& handle : handles) {
    const auto it = sockets.find(handle);
    if (it == sockets.end())
      continue;
    auto& socket = *it->second;
    if (socket.abort_at) {
      if (time >= *socket.abort_at)
        drop(socket);
      continue;
    }
    if (socket.backlog > 0 && time - socket.last_progress >= hub->options.timeouts.stall)
      socket.connection.end(goodbye_reason::timeout,
                            "the peer read nothing for " + std::to_string(hub->options.timeouts.stall.count()) + " ms");
    grant(socket);
    socket.connection.tick(time);
    pump(socket);
  }
  for (auto& [host, entry] : peers) {
    const auto freed = entry->channel->expire(time);
    for (std::uint32_t i = 0; entry->link != nullptr && i < freed; ++i)
      entry->link->connection.credit().free_slot();
    if (entry->lookup && entry->lookup->is_done())
      on_looked_up(*entry); // its wake-up may have been one of an earlier life
    if (!stopping && entry->peer.should_dial(time))
      dial(*entry);
  }
  hub->wakeup->set_quiet(is_quiet());
  if (stopping && (sockets.empty() || time >= finish_at))
    finish();
}

/// Whether nothing but keep-alives is due soon.
bool link_broker_state::is_quiet() const {
  if (stopping || sockets.size() != peers.size())
    return false;
  for (const auto& [host, entry] : peers)
    if (entry->link == nullptr)
      return false;
  for (const auto& [handle, socket] : sockets)
    if (socket->abort_at || socket->backlog > 0)
      return false;
  return true;
}

/// Something began that has deadlines: the next tick must not be a quiet one.
void link_broker_state::hurry() {
  if (!hub->wakeup->is_quiet())
    return;
  hub->wakeup->set_quiet(false);
  self->send(ticker, link_hurry{});
}

void link_broker_state::on_subscribe(const caf::actor& subscriber) {
  if (!subscriber || std::find(subscribers.begin(), subscribers.end(), subscriber) != subscribers.end())
    return;
  self->monitor(subscriber);
  subscribers.push_back(subscriber);
  for (const auto& [host, entry] : peers)
    if (entry->link != nullptr)
      self->send(subscriber, link_up{host, entry->peer.incarnation()});
    else if (!entry->problem.empty())
      self->send(subscriber, link_problem{host, entry->problem});
}

void link_broker_state::on_exit_request(const caf::error& reason) {
  if (stopping)
    return;
  stopping = true;
  hurry();
  exit_reason = reason;
  self->close(doorman);
  std::vector<connection_handle> handles;
  for (const auto& [handle, socket] : sockets)
    handles.push_back(handle);
  for (const auto& handle : handles)
    if (const auto it = sockets.find(handle); it != sockets.end() && !it->second->abort_at) {
      it->second->connection.end(goodbye_reason::stopping, "the links of this host stopped");
      pump(*it->second);
    }
  finish_at = now() + hub->options.timeouts.goodbye;
}

void link_broker_state::finish() {
  while (!sockets.empty())
    drop(*sockets.begin()->second);
  self->quit(exit_reason);
}

link_status link_broker_state::status(bool with_peers) const {
  link_status result;
  result.host = hub->options.host;
  result.listen = listening;
  result.incarnation = hub->options.incarnation;
  result.connections = sockets.size();
  result.counters = counters;
  result.counters.sends_dropped = hub->shared_counters->sends_dropped;
  result.counters.requests_failed = hub->shared_counters->requests_failed;
  result.counters.answers_late = hub->shared_counters->answers_late;
  result.last_refusal = last_refusal;
  if (!with_peers)
    return result;
  for (const auto& [host, entry] : peers) {
    const auto shared = entry->channel->snapshot();
    link_peer_status peer;
    peer.host = host;
    peer.address = entry->address;
    peer.state = shared.state;
    peer.reason = shared.reason;
    peer.incarnation = entry->peer.incarnation();
    peer.waiting_bytes = shared.waiting_bytes;
    peer.unanswered = shared.unanswered;
    peer.in_flight = shared.in_flight;
    if (entry->link != nullptr)
      peer.round_trip_us = entry->link->connection.round_trip().count();
    result.peers.push_back(std::move(peer));
  }
  return result;
}

caf::actor spawn_link_broker(std::shared_ptr<link_hub> hub) {
  auto& system = hub->system;
  return system.middleman().spawn_broker(
      [](caf::stateful_actor<link_broker_state, caf::io::broker>* self, std::shared_ptr<link_hub> shared) {
        return self->state.start(std::move(shared));
      },
      std::move(hub));
}

} // namespace prunella::net
