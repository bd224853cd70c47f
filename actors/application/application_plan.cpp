#include "actors/application/application_plan.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>

#include "actors/names.hpp"
#include "config/json.hpp"
#include "config/variables.hpp"

namespace prunella::actors {

namespace {

// Each part with its length in front, so that no two lists of parts give the same text.
class part_hash {
public:
  part_hash() {
    if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1)
      throw std::runtime_error{"OpenSSL offers no SHA-256"};
  }

  void add(std::string_view part) {
    const std::string length = std::to_string(part.size()) + ":";
    EVP_DigestUpdate(context_.get(), length.data(), length.size());
    EVP_DigestUpdate(context_.get(), part.data(), part.size());
  }

  std::string finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr);
    std::string text;
    for (std::size_t i = 0; i < 16; ++i) {
      text += "0123456789abcdef"[digest[i] >> 4];
      text += "0123456789abcdef"[digest[i] & 15];
    }
    return text;
  }

private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
};

/// The variables as texts of a spec refer to them: `${SITE}` and `${PRUNELLA_SITE}`, ports as they are written.
std::map<std::string, std::string> variables_of(const std::map<std::string, std::string>& environment,
                                                const config::service_spec& service) {
  auto variables = environment;
  for (const auto& name : config::known_variables(service))
    if (const auto found = environment.find(config::environment_name(name)); found != environment.end())
      variables.emplace(name, found->second);
  return variables;
}

config::container_spec expand_variables(config::container_spec container,
                                        const std::map<std::string, std::string>& variables) {
  for (auto* words : {&container.command, &container.arguments})
    for (auto& argument : *words)
      argument = config::expand(argument, variables).text;
  for (auto& [name, value] : container.env)
    value = config::expand(value, variables).text;
  for (auto& file : container.files)
    file.content = config::expand(file.content, variables).text;
  for (auto* probe : {&container.probes.startup, &container.probes.liveness, &container.probes.readiness})
    for (auto& argument : probe->command)
      argument = config::expand(argument, variables).text;
  return container;
}

/// Without what is the door's business: nothing that runs changes with it.
config::container_spec unpublished(config::container_spec container) {
  for (auto& port : container.ports) {
    port.publish = 0;
    port.publish_on = {};
  }
  return container;
}

container_order plan_container(const config::application_spec& spec, const config::service_spec& service,
                               const config::container_spec& container, const assigned_instance& assigned,
                               const plan_place& place, bool init) {
  container_order order;
  order.init = init;
  order.instance = instance_name(spec.tenant, spec.name, service.name, assigned.replica);
  order.name = container_name(order.instance, container.name);
  order.generation = assigned.generation;
  order.network = service.network;
  order.env = agent_variables(spec, service, container, assigned, place);
  order.spec = unpublished(expand_variables(container, variables_of(order.env, service)));
  order.env.insert(order.spec.env.begin(), order.spec.env.end()); // the agent's own names win: a validator refuses them
  order.spec_hash = hash_of(order);
  return order;
}

instance_plan plan_instance(const config::application_spec& spec, const config::service_spec& service,
                            const assigned_instance& assigned, const plan_place& place) {
  instance_plan plan;
  plan.name = instance_name(spec.tenant, spec.name, service.name, assigned.replica);
  plan.service = service.name;
  plan.replica = assigned.replica;
  plan.generation = assigned.generation;
  plan.strategy = service.strategy;
  plan.restart = service.restart;
  plan.drain = service.drain;
  for (const auto& container : service.init_containers)
    plan.containers.push_back(plan_container(spec, service, container, assigned, place, true));
  for (const auto& container : service.containers)
    plan.containers.push_back(plan_container(spec, service, container, assigned, place, false));
  return plan;
}

} // namespace

application_plan plan_application(const config::application_spec& spec, const std::vector<assigned_instance>& assigned,
                                  const plan_place& place, const config::application_spec& former) {
  application_plan plan;
  plan.name = application_key(spec.tenant, spec.name);
  plan.strategy = spec.strategy;
  plan.intensity = spec.intensity;
  plan.period = spec.period;
  for (const auto& service : spec.services) {
    std::map<std::uint32_t, assigned_instance> replicas;
    for (const auto& instance : assigned) {
      if (instance.service != service.name)
        continue;
      const auto known = replicas.find(instance.replica);
      if (known == replicas.end() || known->second.generation < instance.generation)
        replicas[instance.replica] = instance;
    }
    const auto old = std::find_if(former.services.begin(), former.services.end(),
                                  [&](const auto& x) { return x.name == service.name; });
    for (const auto& [replica, instance] : replicas) {
      const bool is_old = instance.is_outdated && old != former.services.end();
      plan.instances.push_back(plan_instance(is_old ? former : spec, is_old ? *old : service, instance, place));
    }
  }
  return plan;
}

std::map<std::string, std::string> agent_variables(const config::application_spec& spec,
                                                   const config::service_spec& service,
                                                   const config::container_spec& container,
                                                   const assigned_instance& assigned, const plan_place& place) {
  const auto instance = instance_name(spec.tenant, spec.name, service.name, assigned.replica);
  std::map<std::string, std::string> variables{
    {"PRUNELLA_SITE", place.site},
    {"PRUNELLA_HOST", place.host},
    {"PRUNELLA_ADDRESS", place.address},
    {"PRUNELLA_TENANT", spec.tenant},
    {"PRUNELLA_APPLICATION", spec.name},
    {"PRUNELLA_SERVICE", service.name},
    {"PRUNELLA_INSTANCE", instance},
    {"PRUNELLA_REPLICA", std::to_string(assigned.replica)},
    {"PRUNELLA_GENERATION", std::to_string(assigned.generation)},
    {"PRUNELLA_CONTAINER", container_name(instance, container.name)},
  };
  for (const auto& port : container.ports)
    variables.emplace(config::environment_name("PORT_" + port.name), std::to_string(port.port));
  for (const auto& sibling : service.containers)
    for (const auto& port : sibling.ports)
      variables.emplace(config::environment_name("PORT_" + port.name), std::to_string(port.port));
  return variables;
}

config::container_spec made_anew_for(config::container_spec spec) {
  spec.grace = {};
  spec.probes = {};
  spec.logs = {};
  spec.disk_bytes = 0;
  if (spec.image.empty())
    spec.resources = {}; // nothing holds a plain process to them
  return unpublished(std::move(spec));
}

std::string hash_of(const container_order& order) {
  part_hash hash;
  for (const auto* words : {&order.spec.command, &order.spec.arguments}) {
    hash.add(std::to_string(words->size()));
    for (const auto& argument : *words)
      hash.add(argument);
  }
  for (const auto& [name, value] : order.env) {
    hash.add(name);
    hash.add(value);
  }
  hash.add(order.spec.working_directory);
  if (order.spec.image.empty())
    return hash.finish();
  auto made_with = made_anew_for(order.spec);
  made_with.command.clear();
  made_with.arguments.clear(); // counted above, where a shorter spelling cannot hide
  made_with.env.clear();
  made_with.ports.clear();
  hash.add(config::json_text(config::to_json(made_with)));
  hash.add(config::to_text(order.network));
  return hash.finish();
}

} // namespace prunella::actors
