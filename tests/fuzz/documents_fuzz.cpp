// Config files and bodies of requests: what is read is valid, reads back from both of its notations, and can be planned.

#include <algorithm>
#include <string>

#include "actors/site/membership.hpp"
#include "actors/site/requests.hpp"
#include "config/json.hpp"
#include "config/limits.hpp"
#include "config/reader.hpp"
#include "config/validate.hpp"
#include "config/yaml/writer.hpp"
#include "tests/actors/site_fixture.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace prunella;
using fuzz::require;

namespace {

template <class Spec>
const Spec& spec_of(const config::document& x) {
  if constexpr (std::is_same_v<Spec, config::site_spec>)
    return x.site;
  else
    return x.application;
}

template <class Spec>
void check_spec(const config::document& x) {
  const auto& spec = spec_of<Spec>(x);
  require(config::validate(spec).empty(), "a document without a problem is valid");
  const auto json = config::to_json(spec);
  for (const auto& text : {config::json_text(json), config::to_yaml(json)}) {
    const auto again = config::read_documents(text, "again", x.kind);
    require(again.problems.empty() && again.documents.size() == 1, "what is written of a document can be read");
    require(spec_of<Spec>(again.documents[0]) == spec, "a document that is written and read is the same");
  }
}

void plan_application(const config::application_spec& spec) {
  test::small_site site({test::host("a", {{"zone", "front"}}), test::host("b"), test::host("c", {{"disk", "ssd"}})});
  const actors::put_application put{spec};
  std::size_t replicas = 0;
  for (const auto& service : spec.services)
    replicas += service.replicas;
  if (replicas > 100 || actors::refuse(actors::site_command{0, put}, site.state).status != 0)
    return; // large ones only take longer
  site.run(put);
  require(site.settle() < 10, "a site comes to rest");
  site.run(actors::set_host_state{"a", false, "lost"});
  require(site.settle() < 10, "a site that lost a host comes to rest");
}

void plan_site(const config::site_spec& spec) {
  const auto members = actors::initial_membership(spec.hosts);
  require(!members.voters.empty(), "a valid site has a controller");
  test::small_site site(spec.hosts);
  site.run(actors::put_application{test::application("a", {test::service("s", 3)})});
  require(site.settle() < 10, "a site comes to rest");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto read = config::read_documents(fuzz::text_of(data, size), "input");
  require(read.problems.size() <= config::limits::problems + 1, "problems are bounded");
  for (const auto& problem : read.problems)
    require(!problem.what.empty() && !config::problem_text(problem).empty(), "a problem says what is wrong");
  for (const auto& document : read.documents)
    if (document.kind == config::document_kind::site) {
      check_spec<config::site_spec>(document);
      plan_site(document.site);
    } else {
      check_spec<config::application_spec>(document);
      plan_application(document.application);
    }
  return 0;
}
