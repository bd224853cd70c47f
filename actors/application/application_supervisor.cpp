#include "actors/application/application_supervisor.hpp"

#include <algorithm>

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;

// What comes on top of the margin a container actor gives its driver, before its supervisor takes it for stuck.
constexpr milliseconds actor_margin{5'000};

// Independent children end together, so that their grace periods do not add up; dependent ones in reverse order.
runtime::shutdown_order order_of(config::restart_strategy strategy) {
  return strategy == config::restart_strategy::one_for_one ? runtime::shutdown_order::together
                                                           : runtime::shutdown_order::one_by_one;
}

std::string last_part(std::string_view name) {
  return std::string{name.substr(name.rfind('.') + 1)};
}

// The longest that starting or stopping one container may take.
milliseconds patience(const container_order& order, const container_context& context) {
  return context.drain + std::max(order.spec.grace + context.margin, context.driver_patience) + context.driver_retry
         + actor_margin;
}

/// With what this instance's containers share: how long connections may take to end, and the gate if it has init containers.
container_context of_instance(const instance_plan& plan, container_context context) {
  context.drain = plan.drain;
  std::vector<std::string> inits;
  for (const auto& order : plan.containers)
    if (order.init)
      inits.push_back(order.name);
  if (!inits.empty())
    context.gate = std::make_shared<init_gate>(std::move(inits));
  return context;
}

} // namespace

std::string application_id(std::string_view application) {
  return std::string{application};
}

std::string instance_id(std::string_view instance) {
  return last_part(instance);
}

std::string container_id(std::string_view container) {
  return last_part(container);
}

runtime::supervised_child container_child(const container_order& order, const config::restart_spec& restart,
                                          const container_context& context) {
  // One that did its work is not started again by itself; when its instance is started afresh it is.
  auto spec = runtime::spec_of(container_id(order.name), order.init ? config::restart_type::transient : restart.type);
  // Stopping may have to wait for a driver that is being restarted and answers anew: twice.
  spec.shutdown = runtime::shutdown_policy::after(2 * patience(order, context));
  spec.start_timeout = 2 * patience(order, context);
  runtime::backoff_options backoff;
  backoff.initial = restart.backoff_initial;
  backoff.max = std::max(restart.backoff_initial, restart.backoff_max);
  backoff.calm = 2 * backoff.max;
  if (backoff.initial > milliseconds{0}) // none asked for: every restart is immediate
    spec.backoff = backoff;
  return runtime::worker_that_says_ready(std::move(spec), [order, context](const runtime::start_context& my) {
    return spawn_container(my.self, order, context, my.parent);
  });
}

runtime::supervised_child instance_child(const instance_plan& plan, const container_context& context) {
  runtime::supervision_tree tree;
  tree.spec.strategy = plan.strategy;
  tree.spec.limit = {plan.restart.intensity, plan.restart.period};
  tree.spec.order = order_of(plan.strategy);
  auto spec = runtime::spec_of(instance_id(plan.name));
  spec.start_timeout = actor_margin; // an instance is up when its containers are, one after the other
  const auto inner = of_instance(plan, context);
  for (const auto& order : plan.containers) {
    tree.children.push_back(container_child(order, plan.restart, inner));
    spec.start_timeout += tree.children.back().spec.start_timeout;
  }
  return runtime::supervisor(std::move(spec), std::move(tree));
}

runtime::supervised_child application_child(const application_plan& plan, const container_context& context) {
  runtime::supervision_tree tree;
  tree.spec.strategy = plan.strategy;
  tree.spec.limit = {plan.intensity, plan.period};
  tree.spec.order = order_of(plan.strategy);
  // Instances that live on their own go on: the application is started here again without the one that failed, and adopts them.
  tree.spec.kills_on_give_up = plan.strategy == config::restart_strategy::one_for_one;
  auto spec = runtime::spec_of(application_id(plan.name), config::restart_type::temporary);
  spec.start_timeout = actor_margin;
  for (const auto& instance : plan.instances) {
    tree.children.push_back(instance_child(instance, context));
    spec.start_timeout += tree.children.back().spec.start_timeout;
  }
  return runtime::supervisor(std::move(spec), std::move(tree));
}

} // namespace prunella::actors
