#include "actors/application/application_plan.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <stdexcept>

#include "actors/names.hpp"

namespace prunella::actors {

namespace {

std::string port_variable(std::string_view port) {
  std::string name = "PRUNELLA_PORT_";
  for (const char c : port)
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

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

container_order plan_container(const config::application_spec& spec, const config::service_spec& service,
                               const config::container_spec& container, const assigned_instance& assigned,
                               const plan_place& place) {
  container_order order;
  order.instance = instance_name(spec.tenant, spec.name, service.name, assigned.replica);
  order.name = container_name(order.instance, container.name);
  order.generation = assigned.generation;
  order.spec = container;
  for (auto& port : order.spec.ports) { // the door's business: what runs does not change with it
    port.publish = 0;
    port.publish_on = config::publish_scope::all;
  }
  const auto variables = agent_variables(spec, service, container, assigned, place);
  order.env = variables;
  for (const auto& [name, value] : container.env)
    order.env.emplace(name, expand_variables(value, variables)); // the agent's own names win: a validator refuses them
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
  for (const auto& container : service.containers)
    plan.containers.push_back(plan_container(spec, service, container, assigned, place));
  return plan;
}

} // namespace

application_plan plan_application(const config::application_spec& spec, const std::vector<assigned_instance>& assigned,
                                  const plan_place& place) {
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
    for (const auto& [replica, instance] : replicas)
      plan.instances.push_back(plan_instance(spec, service, instance, place));
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
    {"PRUNELLA_TENANT", spec.tenant},
    {"PRUNELLA_APPLICATION", spec.name},
    {"PRUNELLA_SERVICE", service.name},
    {"PRUNELLA_INSTANCE", instance},
    {"PRUNELLA_REPLICA", std::to_string(assigned.replica)},
    {"PRUNELLA_GENERATION", std::to_string(assigned.generation)},
    {"PRUNELLA_CONTAINER", container_name(instance, container.name)},
  };
  for (const auto& port : container.ports)
    variables.emplace(port_variable(port.name), std::to_string(port.port));
  for (const auto& sibling : service.containers)
    for (const auto& port : sibling.ports)
      variables.emplace(port_variable(port.name), std::to_string(port.port));
  return variables;
}

std::string expand_variables(std::string_view text, const std::map<std::string, std::string>& variables) {
  std::string out;
  while (!text.empty()) {
    const auto dollar = std::min(text.find('$'), text.size());
    out += text.substr(0, dollar);
    text.remove_prefix(dollar);
    if (text.substr(0, 3) == "$${") { // escaped: the first dollar goes, the rest is plain text
      out += "${";
      text.remove_prefix(3);
      continue;
    }
    const auto end = text.substr(0, 2) == "${" ? text.find('}') : std::string_view::npos;
    const auto found = end == std::string_view::npos ? variables.end()
                                                     : variables.find(std::string{text.substr(2, end - 2)});
    if (found != variables.end()) {
      out += found->second;
      text.remove_prefix(end + 1);
    } else if (!text.empty()) {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  return out;
}

std::string hash_of(const container_order& order) {
  part_hash hash;
  hash.add(std::to_string(order.spec.command.size()));
  for (const auto& argument : order.spec.command)
    hash.add(argument);
  for (const auto& [name, value] : order.env) {
    hash.add(name);
    hash.add(value);
  }
  hash.add(order.spec.working_directory);
  return hash.finish();
}

} // namespace prunella::actors
