#pragma once

// Which host is to fetch which image, from whom. Pure: from what the site wants to run and what the hosts report. Each image
// is brought to the hosts that run it and to so many others that a failover finds it; other hosts of the site are the
// source wherever one has it, and one host alone asks a registry.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "actors/image_messages.hpp"
#include "actors/site/application_images.hpp"
#include "actors/site/placement.hpp"
#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// An image that an application names.
struct needed_image {
  std::string reference;        ///< complete; with its digest, if the site decided about a tag
  std::set<std::string> hosts;  ///< instances that use it are assigned to them
  bool is_current = false;      ///< of the present version; otherwise only of the one before
  std::uint64_t look_since = 0; ///< of a tag: the last time that an application was applied which waits for what it means

  PRUNELLA_FIELDS(needed_image, reference, hosts, is_current, look_since)
};

/// The images that the site needs, now or to go back to, in order of references.
std::vector<needed_image> needed_images(const site_state& state);

/// References that `host` must not lose: of all applications with an instance on it, the present version and the one
/// before.
std::vector<std::string> needed_on(const site_state& state, const std::string& host);

/// By host: the last report of each.
using image_reports = std::map<std::string, image_report>;

/// What a host has of the name `reference`: null if nothing.
const held_image* find_image_in(const image_report& report, const std::string& reference);

struct copy_options {
  std::uint32_t copies = 2;        ///< hosts that are to have each image, if there are so many
  std::size_t most_per_source = 2; ///< copies that one host gives at a time
  std::uint64_t spare_bytes = std::uint64_t{1} << 30; ///< beside twice the image, on a host that takes a copy in case

  PRUNELLA_FIELDS(copy_options, copies, most_per_source, spare_bytes)
};

struct copy_plan {
  std::map<std::string, std::vector<image_order>> orders; ///< by host, in order of references
  std::map<std::string, std::vector<std::string>> keep;   ///< by host: references

  PRUNELLA_FIELDS(copy_plan, orders, keep)
};

/// Hosts count that are up and have reported; an image is brought to each kind of machine on its own. A tag is looked at by
/// one host, who has the newest image of that name or else may bring one; it is not copied before the site decided what it
/// means (`image_tags.hpp`). Deterministic, and a plan that is being carried
/// out stays the plan: `told` is what the hosts were told last, which their reports may not show yet. `knows_all` is false while
/// hosts that are up may hold images that nobody has reported yet: then no copy is made in case, and none is drawn from a registry.
copy_plan plan_copies(const site_state& state, const image_reports& reports, const copy_options& options,
                      const std::map<std::string, image_orders>& told = {}, bool knows_all = true);

/// Of the images that the site needs: who has them, unpacked.
image_places places_of(const site_state& state, const image_reports& reports);

/// The first image of a service of `record` that is not at `host`, complete reference, or a tag of which the site has not
/// decided yet what it means; empty: all are there.
std::string missing_image(const application_record& record, const config::service_spec& service, const std::string& host,
                          const image_places& places);

/// Why nobody brings the image `reference`, as those tell who tried with leave to ask its registry; empty: nobody failed, or
/// time may heal it.
std::string why_hopeless(const std::string& reference, const image_reports& reports);

} // namespace prunella::actors
