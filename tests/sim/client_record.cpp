#include "tests/sim/client_record.hpp"

#include <algorithm>
#include <utility>

namespace prunella::tests {

namespace {

maybe_content content_of(const actors::site_state& state, const std::string& application) {
  const auto record = state.applications.find(application);
  if (record == state.applications.end())
    return std::nullopt;
  application_content content{record->second.spec.version, {}};
  for (const auto& service : record->second.spec.services)
    content.replicas[service.name] = service.replicas;
  return content;
}

std::string text_of(const maybe_content& content) {
  if (!content)
    return "absent";
  auto text = "version " + content->version;
  for (const auto& [service, replicas] : content->replicas)
    text += ' ' + service + '=' + std::to_string(replicas);
  return text;
}

} // namespace

bool client_record::is_waiting(const std::string& application) const {
  const auto it = applications_.find(application);
  return it != applications_.end() && it->second.asked;
}

void client_record::asked(const std::string& application, content_change change) {
  applications_[application].asked = std::move(change);
}

void client_record::answered(const std::string& application, unsigned status, time now, const std::string& body) {
  auto& x = applications_.at(application);
  const auto change = std::exchange(x.asked, nullptr);
  // Whether a late one took effect is settled when its time is over, but not known.
  x.possible = with_late(x, x.possible);
  for (const auto& content : x.possible)
    if (content)
      x.versions.insert(content->version);
  x.late.erase(std::remove_if(x.late.begin(), x.late.end(), [&](const auto& late) { return late.until < now; }), x.late.end());
  const bool is_done = status >= 200 && status < 300;
  // A repeated deletion finds nothing: it is not clear whose the first was, but nothing is there.
  const bool is_absent = status == 404;
  const bool is_unclear = status >= 500 && body.find("nothing was changed") == std::string::npos;
  if (is_done || is_absent) {
    std::set<maybe_content> after;
    for (const auto& before : with_late(x, x.possible))
      if (is_done || !change(before))
        after.insert(change(before));
    x.possible = std::move(after);
  } else if (is_unclear) {
    x.late.push_back(late_change{change, now + late_effect});
  }
  ++(is_done ? acknowledged_ : is_unclear ? unclear_ : refused_);
}

std::set<maybe_content> client_record::with_late(const entry& x, std::set<maybe_content> possible) {
  for (std::size_t before = 0; before != possible.size();) {
    before = possible.size();
    for (const auto& late : x.late)
      for (const auto& content : std::set<maybe_content>{possible})
        possible.insert(late.change(content));
  }
  return possible;
}

/// Whether the site left a version that clients asked for, over an update that failed, for one that they asked for before.
bool client_record::went_back(const entry& x, const actors::application_record& record, const std::set<maybe_content>& possible) {
  return x.versions.count(record.spec.version) != 0
         && std::any_of(possible.begin(), possible.end(), [&](const maybe_content& content) {
              return content && record.update_reason.rfind("went back from version " + content->version + ':', 0) == 0;
            });
}

std::string client_record::judge(const actors::site_state& state) const {
  for (const auto& [application, x] : applications_) {
    auto possible = with_late(x, x.possible);
    if (x.asked)
      for (const auto& content : std::set<maybe_content>{possible})
        possible.insert(x.asked(content));
    const auto content = content_of(state, application);
    const auto record = state.applications.find(application);
    if (possible.count(content) != 0 || (record != state.applications.end() && went_back(x, record->second, possible)))
      continue;
    auto text = application + " is " + text_of(content) + " at log index " + std::to_string(state.applied_index)
                + ", which no client asked for or an acknowledged request has replaced; it can be:";
    for (const auto& other : possible)
      text += " [" + text_of(other) + ']';
    return text;
  }
  return {};
}

} // namespace prunella::tests
