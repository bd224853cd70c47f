#include "actors/host/host_findings.hpp"

#include <algorithm>

#include "actors/site/address_holder.hpp"

namespace prunella::actors {

namespace {

std::string text_of(config::driver_kind driver, const host_findings& found) {
  using config::driver_kind;
  const auto named = [](const char* name, const std::string& version) {
    return version.empty() ? std::string{name} : std::string{name} + " (" + version + ")";
  };
  switch (driver) {
    case driver_kind::process:
      break;
    case driver_kind::oci:
      return named("oci", short_version(found.oci_runtime));
    case driver_kind::engine:
      return named("engine", short_version(found.engine));
  }
  return "process";
}

class offer_maker {
public:
  explicit offer_maker(const host_findings& found) : found_(found) {}

  host_offer make() {
    const auto first = std::find_if(found_.drivers.begin(), found_.drivers.end(), [](auto x) { return x != config::driver_kind::process; });
    const bool has_images = first != found_.drivers.end();
    if (has_images && *first == config::driver_kind::engine && found_.engine.empty())
      return {};
    offer_.drivers = found_.drivers;
    std::sort(offer_.drivers.begin(), offer_.drivers.end());
    for (const auto driver : offer_.drivers)
      offer_.software.drivers.push_back(text_of(driver, found_));
    if (!has_images)
      offer_.lacks = {host_lack::bridge, host_lack::user_namespaces};
    else if (*first == config::driver_kind::oci)
      of_oci();
    else
      of_engine();
    std::sort(offer_.lacks.begin(), offer_.lacks.end());
    offer_.software = bounded(std::move(offer_.software));
    return std::move(offer_);
  }

private:
  void without(const char* what, const std::string& why) { offer_.software.without.push_back({what, why}); }

  void lacks(host_lack lack, const char* what, const std::string& why) {
    if (why.empty())
      return;
    offer_.lacks.push_back(lack);
    without(what, why);
  }

  void of_oci() {
    if (!found_.seccomp_obstacle.empty())
      without("seccomp", found_.seccomp_obstacle);
    lacks(host_lack::bridge, "bridge", found_.bridge_obstacle);
    lacks(host_lack::user_namespaces, "user namespaces", found_.users_obstacle);
  }

  void of_engine() {
    if (!found_.engine_joins_networks) {
      offer_.lacks.push_back(host_lack::bridge);
      lacks(host_lack::own_networks, "own networks",
            "services with `network: bridge` or `none` do not run here: Docker takes no network from outside, Podman and the driver oci do");
    } else {
      lacks(host_lack::bridge, "bridge", found_.bridge_obstacle);
    }
    lacks(host_lack::user_namespaces, "user namespaces",
          "containers with `user-namespace` do not run here: the driver engine makes none, the driver oci does");
    lacks(host_lack::disk_limits, "disk limits", "containers with `disk` do not run here: the driver engine cannot limit it, the driver oci can");
  }

  const host_findings& found_;
  host_offer offer_;
};

} // namespace

host_offer offer_of(const host_findings& found) { return offer_maker{found}.make(); }

host_offer with_address_obstacle(host_offer offer, const std::string& why) {
  if (why.empty() || offer.drivers.empty())
    return offer;
  offer.software.without.push_back({site_address_words, why});
  offer.software = bounded(std::move(offer.software));
  return offer;
}

std::string short_version(std::string_view line) {
  line = line.substr(0, line.find_first_of("\r\n"));
  constexpr std::string_view filler = " version ";
  const auto at = line.find(filler);
  auto text = at == std::string_view::npos ? std::string{line} : std::string{line.substr(0, at)} + " " + std::string{line.substr(at + filler.size())};
  return text.substr(0, text.find('+'));
}

} // namespace prunella::actors
