#include "actors/instance/container_prober.hpp"

#include <algorithm>
#include <utility>

#include <caf/actor_cast.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

#include "config/address.hpp"

namespace prunella::actors {

container_prober::container_prober(caf::event_based_actor* self, config::probes_spec spec, ask_probe ask,
                                   std::vector<std::string> addresses, std::chrono::milliseconds ran_for, bool adopted)
  : self_(self), spec_(std::move(spec)), ask_(std::move(ask)), addresses_(std::move(addresses)),
    probes_(spec_, self->clock().now() - ran_for, adopted) {}

void container_prober::run() {
  const auto now = self_->clock().now();
  ++epoch_;
  for (const auto kind : probes_.start_due(now)) {
    const auto& probe = kind == probe_kind::startup ? spec_.startup : kind == probe_kind::liveness ? spec_.liveness : spec_.readiness;
    ask_(question_of(probe), [kind, me = caf::actor_cast<caf::actor>(self_)](const net::probe_finding& found) {
      caf::anon_send(me, probe_answered{kind, found.is_good, found.problem, found.took});
    });
  }
  const auto next = probes_.next_due();
  if (next != runtime::instant::max())
    self_->delayed_send(self_, std::max(next - now, runtime::instant::duration::zero()), probe_due{epoch_});
}

void container_prober::on_due(const probe_due& x) {
  if (x.epoch == epoch_)
    run();
}

container_probes::verdict container_prober::on_answer(const probe_answered& x) {
  return probes_.take(x.kind, {x.is_good, x.problem, x.took}, self_->clock().now());
}

net::probe_question container_prober::question_of(const config::probe_spec& probe) const {
  net::probe_question question;
  question.is_http = probe.http.port != 0;
  for (const auto& host : addresses_)
    question.addresses.push_back(config::address_text({host, question.is_http ? probe.http.port : probe.tcp.port}));
  question.path = probe.http.path;
  question.host = probe.http.host;
  question.headers = probe.http.headers;
  question.expect_min = probe.http.expect_min;
  question.expect_max = probe.http.expect_max;
  question.timeout = probe.timeout;
  return question;
}

} // namespace prunella::actors
