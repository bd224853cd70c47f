#pragma once

// The images that an application names, and what its tags mean. Pure.
//
// A tag means something else from one day to the next, so the site decides once for each version of an application which
// image it is (`decide_images`); from then on the tag is read as `tag@digest` on every host. A digest may be that of an
// index: each host takes the image of its platform from it.

#include <map>
#include <string>
#include <vector>

#include "config/spec.hpp"

namespace prunella::actors {

/// Of a service: tag, as a complete reference → `sha256:…`.
using tag_digests = std::map<std::string, std::string>;
/// Of an application: by service.
using image_digests = std::map<std::string, tag_digests>;

/// Complete references, in order, each once; what is no reference is left out, as no host could fetch it. Tags that are
/// decided are with their digest.
std::vector<std::string> images_of(const config::service_spec& service, const tag_digests& decided = {});
std::vector<std::string> images_of(const config::application_spec& application, const image_digests& decided = {});

/// Those of `images_of` that have no digest of their own.
std::vector<std::string> tags_of(const config::service_spec& service);
std::vector<std::string> tags_of(const config::application_spec& application);

/// What is decided of a service; empty if nothing is.
const tag_digests& digests_of(const image_digests& decided, const std::string& service);

/// `tag` as it is read once it is decided.
std::string with_digest(const std::string& tag, const std::string& digest);

} // namespace prunella::actors
