#pragma once

// What the API answers and the CLI prints: one struct per row, one field list for both, so `get -o json` and the API
// cannot differ. Times are RFC 3339 in UTC with milliseconds ("2026-11-21T11:28:13.042Z"); empty: not known.
// Keys are stable: fields are added at the end, never renamed.

#include <cstdint>
#include <string>
#include <vector>

#include "actors/site/host_offer.hpp"
#include "config/spec.hpp"

namespace prunella::actors {

/// `GET /v1/hosts` → array of these, ordered by id.
struct host_view {
  std::string id;
  std::string state;   ///< up | draining | drained | down | unknown: no leader answers, and it is not the host that does
  std::string role;    ///< leader | controller | follower
  std::string address; ///< of its links
  config::labels labels;
  config::resources capacity;
  config::resources reserved; ///< by the instances assigned to it
  std::uint32_t instances = 0;
  std::string reason; ///< why it is down or unknown, or what is the matter with it; empty: all is well
  /// The most that one of its heartbeats came later to the leader than promised, within the last 5 to 10 s; 0 also when no
  /// leader answers.
  std::uint64_t heartbeat_late_us = 0;
  std::vector<std::string> drivers;   ///< with what they are: `process`, `oci (runc 1.1.5)`; none: it has not said yet
  std::vector<host_weakness> without; ///< what containers do without there, and why

  PRUNELLA_FIELDS(host_view, id, state, role, address, labels, capacity, reserved, instances, reason, heartbeat_late_us, drivers,
                  without)
};

struct container_view {
  std::string name; ///< tenant.application.service-N.container
  std::string state;
  std::int64_t pid = 0; ///< 0: none
  std::uint32_t restarts = 0;
  std::string reason; ///< of its last end

  PRUNELLA_FIELDS(container_view, name, state, pid, restarts, reason)
};

/// `GET /v1/instances[?application=NAME]` → array of these, ordered by name.
struct instance_view {
  std::string name; ///< tenant.application.service-N
  std::string application;
  std::string service;
  std::uint32_t replica = 0; ///< N, counted from 1
  std::string host;          ///< empty: not placed
  std::string state;         ///< pending | starting | running | stopping | failed | finished
  std::uint64_t generation = 0;
  std::uint32_t restarts = 0;
  std::int64_t pid = 0; ///< of its first container; 0: none
  std::string started_at;
  std::string reason; ///< why it is in this state; for pending: which filter rejected which hosts
  std::vector<container_view> containers;
  bool ready = false; ///< it runs, and its probes say that it takes traffic
  std::string address{}; ///< in the network of its host alone; empty: its host's

  PRUNELLA_FIELDS(instance_view, name, application, service, replica, host, state, generation, restarts, pid,
                  started_at, reason, containers, ready, address)
};

struct service_view {
  std::string name;
  std::uint32_t replicas = 0; ///< asked for
  std::uint32_t running = 0; ///< and ready
  std::uint32_t finished = 0; ///< ended as they should and are not started again (`restart: {type: transient}`)

  PRUNELLA_FIELDS(service_view, name, replicas, running, finished)
};

/// `GET /v1/applications` → array of these, ordered by tenant and name.
struct application_view {
  std::string name;
  std::string tenant;
  std::string version;
  std::string state; ///< pending | starting | running | updating | degraded | failed | finished
  std::vector<service_view> services;
  std::uint64_t revision = 0; ///< counts changes of this application's spec at this site
  std::string updated_at;
  std::string reason;
  std::string update;           ///< done | running | paused
  std::string previous_version; ///< that `prunella rollback` goes back to; empty: none
  std::uint64_t applied_revision = 0; ///< the one that its last spec began with; later ones are of tags that have moved

  PRUNELLA_FIELDS(application_view, name, tenant, version, state, services, revision, updated_at, reason, update,
                  previous_version, applied_revision)
};

struct published_backend_view {
  std::string instance;
  std::string host;
  std::string state; ///< ready | draining: it keeps what is open
  std::uint32_t connections = 0; ///< open, through the doors of all hosts

  PRUNELLA_FIELDS(published_backend_view, instance, host, state, connections)
};

/// `GET /v1/services` → array of these: published ports, ordered by service. Asks the door of each host; the header
/// `Prunella-Unreachable` lists those that did not answer.
struct published_view {
  std::string service; ///< tenant.application.service
  std::uint16_t port = 0;
  std::string protocol;   ///< tcp | udp
  std::string publish_on; ///< all | loopback
  std::string state;      ///< ready | degraded: too few instances, or a host does not answer on it | unserved
  std::vector<std::string> addresses; ///< where hosts answer on it: ADDRESS:PORT
  std::uint32_t ready = 0;            ///< instances
  std::uint32_t wanted = 0;
  std::uint32_t connections = 0;
  std::uint64_t accepted = 0; ///< connections and flows since the agents started
  std::uint64_t unserved = 0; ///< of them, those for which no instance was found in time
  std::vector<published_backend_view> backends;
  std::vector<std::string> problems; ///< `host-2: 10.0.0.5:80/tcp is in use …`

  PRUNELLA_FIELDS(published_view, service, port, protocol, publish_on, state, addresses, ready, wanted, connections, accepted,
                  unserved, backends, problems)
};

/// `GET /v1/events[?after=ID][&limit=N]` → array of these, oldest first. `after` continues behind an event's id.
struct event_view {
  std::string id; ///< sorts like time
  std::string time;
  std::string host;   ///< who observed it; `site`: a replicated decision
  std::string object; ///< `host/host-2`, `application/default.popcorn`, `instance/default.popcorn.web-1`, …
  std::string from;
  std::string to;
  std::string reason;
  std::string cause; ///< id or object of what led to it; empty: an own cause

  PRUNELLA_FIELDS(event_view, id, time, host, object, from, to, reason, cause)
};

/// `GET /status`.
struct status_view {
  std::string site;
  std::string host;   ///< who answers
  std::string role;   ///< of who answers
  std::string leader; ///< host id; empty: none known
  bool quorum = false;
  std::string health; ///< healthy | degraded | no-quorum
  std::uint32_t hosts_up = 0;
  std::uint32_t hosts = 0;
  std::uint32_t applications = 0;
  std::uint32_t instances_running = 0;
  std::uint32_t instances_finished = 0;
  std::uint32_t instances = 0;
  std::uint64_t term = 0;
  std::uint64_t committed = 0; ///< log index
  std::uint64_t applied = 0;
  std::string version;
  std::string started_at; ///< of the answering agent
  std::string reason;     ///< why it is not healthy

  PRUNELLA_FIELDS(status_view, site, host, role, leader, quorum, health, hosts_up, hosts, applications,
                  instances_running, instances_finished, instances, term, committed, applied, version, started_at, reason)
};

/// `GET /v1/actors` → array of these in tree order (parents before children), for every reachable host of the site.
/// `POST /v1/actors/kill` with `{"path": "host-1/…"}` kills one, to watch its supervisor work.
struct actor_view {
  std::string path;  ///< host-1/root/core/consensus
  std::string kind;  ///< supervisor | worker
  std::string state; ///< starting | running | restarting | stopping | stopped
  std::uint32_t restarts = 0;
  std::int64_t mailbox = 0; ///< waiting messages; -1: it does not say
  std::int64_t age_ms = 0;  ///< since its last start
  std::string last_reason;  ///< of its last end
  std::string strategy;     ///< of a supervisor

  PRUNELLA_FIELDS(actor_view, path, kind, state, restarts, mailbox, age_ms, last_reason, strategy)
};

/// Body of every answer that is not 2xx (RFC 9457, `application/problem+json`), with what caused it and what to do.
struct problem_view {
  std::string title;
  std::uint32_t status = 0;
  std::string detail;
  std::string cause;
  std::string fix;
  std::vector<std::string> errors; ///< of a rejected document: each `line:column: path: what; what would be right`

  PRUNELLA_FIELDS(problem_view, title, status, detail, cause, fix, errors)
};

} // namespace prunella::actors
