#include "actors/instance/container_prober.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <caf/actor_cast.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

#include "actors/instance/driver.hpp"
#include "actors/instance/driver_error.hpp"
#include "config/address.hpp"
#include "runtime/exit_reason.hpp"

namespace prunella::actors {

namespace {

constexpr std::chrono::milliseconds driver_margin{5'000}; ///< above the command's own timeout
constexpr std::size_t max_detail_bytes = 200;

/// The first line that a command printed, as far as a person reads it.
std::string first_line(std::string_view output) {
  const auto begin = std::min(output.find_first_not_of(" \t\r\n"), output.size());
  std::string line{output.substr(begin, std::min(output.find('\n', begin), begin + max_detail_bytes) - begin)};
  std::replace_if(line.begin(), line.end(), [](unsigned char x) { return x < ' ' || x > '~'; }, '?');
  while (!line.empty() && (line.back() == '?' || line.back() == ' '))
    line.pop_back();
  return line;
}

probe_answered answer_of(probe_kind kind, const config::probe_spec& probe, const exec_result& x) {
  probe_answered answer{kind, x.succeeded(), {}, x.took, first_line(x.output), true};
  if (!answer.is_good)
    answer.problem = '`' + probe.command.front() + (x.timed_out ? "` did not end within " + std::to_string(probe.timeout.count()) + " ms"
                                                                : "` ended with exit code " + std::to_string(x.exit_code));
  return answer;
}

/// A command that there is not, or that cannot run, is the container's fault; that nobody can run one now is not. What the runtime
/// refuses in words of its own counts as well: a probe that can never be run must not pass for one that is yet to come.
bool is_of_container(const caf::error& why) {
  return is_driver_error(why, driver_errc::command_not_found) || is_driver_error(why, driver_errc::command_not_executable)
         || is_driver_error(why, driver_errc::working_directory_missing) || is_driver_error(why, driver_errc::invalid_request)
         || is_driver_error(why, driver_errc::runtime_failed);
}

} // namespace

container_prober::container_prober(caf::event_based_actor* self, container_prober_options options)
  : self_(self), options_(std::move(options)),
    probes_(options_.spec, self->clock().now() - options_.ran_for, options_.adopted) {}

void container_prober::run() {
  const auto now = self_->clock().now();
  ++epoch_;
  const auto& spec = options_.spec;
  for (const auto kind : probes_.start_due(now))
    ask(kind, kind == probe_kind::startup ? spec.startup : kind == probe_kind::liveness ? spec.liveness : spec.readiness);
  const auto next = probes_.next_due();
  if (next != runtime::instant::max())
    self_->delayed_send(self_, std::max(next - now, runtime::instant::duration::zero()), probe_due{epoch_});
}

void container_prober::ask(probe_kind kind, const config::probe_spec& probe) {
  if (!probe.command.empty())
    return ask_driver(kind, probe);
  options_.ask(question_of(probe), [kind, me = caf::actor_cast<caf::actor>(self_)](const net::probe_finding& found) {
    caf::anon_send(me, probe_answered{kind, found.is_good, found.problem, found.took, {}, true});
  });
}

void container_prober::ask_driver(probe_kind kind, const config::probe_spec& probe) {
  const auto tell = [self = self_](probe_answered answer) { self->send(self, std::move(answer)); };
  const auto driver = options_.driver();
  if (!driver)
    return tell({kind, false, {}, {}, {}, false});
  self_
    ->request(driver, probe.timeout + driver_margin,
              exec_container{options_.container, options_.generation, probe.command, probe.timeout})
    .then([=](const exec_result& x) { tell(answer_of(kind, probe, x)); },
          [=](const caf::error& why) { tell({kind, false, runtime::reason_text(why), {}, {}, is_of_container(why)}); });
}

void container_prober::on_due(const probe_due& x) {
  if (x.epoch == epoch_)
    run();
}

container_probes::verdict container_prober::on_answer(const probe_answered& x) {
  if (x.is_known)
    return probes_.take(x.kind, {x.is_good, x.problem, x.detail, x.took}, self_->clock().now());
  probes_.give_back(x.kind);
  return {};
}

net::probe_question container_prober::question_of(const config::probe_spec& probe) const {
  net::probe_question question;
  question.is_http = probe.http.port != 0;
  for (const auto& host : options_.addresses)
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
