#pragma once

// Rules that a spec must keep whatever it was read from: names, bounds, uniqueness, references between its parts. The
// problems have a path but no file and position; `read_documents` adds those.

#include <string_view>
#include <vector>

#include "config/problem.hpp"
#include "config/spec.hpp"

namespace prunella::config {

/// All problems of a site, in the order of its fields; empty: it is valid.
std::vector<problem> validate(const site_spec& site);

/// All problems of an application, in the order of its fields; empty: it is valid. Whether some host can hold it is not
/// asked here: that is placement's, and it explains itself.
std::vector<problem> validate(const application_spec& application);

/// Names of sites, hosts, tenants, applications, services, containers and ports: 1 to 63 of a-z, 0-9 and `-`, no `-` at
/// either end (RFC 1123 label), so that each can be a DNS name, a file name and a part of a dotted name.
bool is_name(std::string_view text);

/// 1 to 64 of letters, digits and `.` `+` `-`.
bool is_version(std::string_view text);

/// A label's key: letters, digits and `. _ -`, starting and ending with a letter or digit, at most 63; optionally
/// behind a prefix such as `example.com/` of at most 253 (as Kubernetes has it).
bool is_label_key(std::string_view text);

/// A label's value: empty, or as a key without prefix.
bool is_label_value(std::string_view text);

} // namespace prunella::config
