#include "actors/host/image_jobs.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace prunella::actors {

/// An order that does not say from where the image comes is a promise that another one will.
bool image_jobs::has_source(const wanted& x) {
  return x.is_here || !x.file.empty() || (x.ordered && (x.ordered->may_ask_registry || !x.ordered->from.empty()));
}

image_jobs::wanted* image_jobs::want(const std::string& reference) {
  if (const auto it = wanted_.find(reference); it != wanted_.end())
    return &it->second;
  return wanted_.size() >= options_.most_wanted ? nullptr : &wanted_[reference];
}

bool image_jobs::ask(const std::string& reference, runtime::instant now, bool only_site) {
  auto* x = want(reference);
  if (x == nullptr)
    return false;
  x->only_site = only_site;
  if (!x->asked_for) {
    x->asked_for = true;
    x->asked_at = now;
    if (!x->keeps_pauses)
      x->failures = 0;
    x->not_before = std::min(x->not_before, now + (x->keeps_pauses ? options_.retry_awaited : options_.retry_first));
  }
  return true;
}

void image_jobs::no_longer_asked(const std::string& reference) {
  const auto it = wanted_.find(reference);
  if (it == wanted_.end())
    return;
  it->second.asked_for = false;
  if (!it->second.ordered && !it->second.is_running && !it->second.is_finding && it->second.file.empty())
    wanted_.erase(it);
}

void image_jobs::is_here(const std::string& reference) {
  if (const auto it = wanted_.find(reference); it != wanted_.end())
    it->second.is_here = true;
}

void image_jobs::order(const std::vector<image_order>& orders, runtime::instant now) {
  for (auto& [reference, x] : wanted_)
    if (!x.helps_itself)
      x.ordered.reset();
  for (const auto& o : orders)
    if (auto* x = want(o.reference)) {
      x->ordered = o;
      // Who has it no longer looked at it, and has it anew when named again.
      for (auto it = x->doubted.begin(); it != x->doubted.end();)
        it = std::find(o.from.begin(), o.from.end(), *it) == o.from.end() ? x->doubted.erase(it) : std::next(it);
      x->helps_itself = false;
    }
  for (auto it = wanted_.begin(); it != wanted_.end();) {
    const auto& x = it->second;
    const bool failed_lately = x.failures > 0 && now < x.not_before + options_.retry_most;
    const bool goes = !x.ordered && !x.asked_for && !x.is_running && x.file.empty() && !failed_lately;
    it = goes ? wanted_.erase(it) : std::next(it);
  }
}

bool image_jobs::import(const std::string& reference, const std::string& file, runtime::instant now) {
  auto* x = want(reference);
  if (x == nullptr || x->is_running || !x->file.empty())
    return false;
  x->file = file;
  x->not_before = now;
  return true;
}

runtime::instant image_jobs::due(const wanted& x) const {
  if (has_source(x))
    return x.not_before;
  return std::max(x.not_before, x.asked_at + options_.patience);
}

std::optional<image_step> image_jobs::step_for(const std::string& reference, wanted& x, runtime::instant now) const {
  if (x.is_running || x.is_finding || now < due(x))
    return std::nullopt;
  image_step step;
  step.order.reference = reference;
  step.order.unpack = unpack_;
  if (!x.file.empty()) {
    step.order.file = x.file;
  } else if (has_source(x) && x.ordered) {
    step.order.manifest = x.ordered->manifest;
    step.order.peers = peers_of(x);
    step.order.may_ask_registry = x.ordered->may_ask_registry || (step.order.peers.empty() && !x.ordered->from.empty());
    step.order.look_since = x.ordered->look_since;
  } else if (x.asked_for && !x.only_site && !x.is_here) {
    step.what = image_step::kind::find;
  } else if (!x.is_here) {
    return std::nullopt; // ordered or a matter of the site, which will say from whom
  }
  return step;
}

/// Those of the order that are not doubted.
std::vector<std::string> image_jobs::peers_of(const wanted& x) {
  std::vector<std::string> peers;
  std::copy_if(x.ordered->from.begin(), x.ordered->from.end(), std::back_inserter(peers),
               [&](const auto& host) { return x.doubted.count(host) == 0; });
  return peers;
}

/// An order that names hosts begins there.
bool image_jobs::takes_uplink(const wanted& x) {
  return !x.is_here && x.file.empty() && x.ordered && (x.ordered->may_ask_registry || !x.ordered->from.empty())
         && peers_of(x).empty();
}

bool image_jobs::has_place(bool on_uplink) const {
  const auto taken = std::count_if(wanted_.begin(), wanted_.end(),
                                   [&](const auto& x) { return x.second.is_running && x.second.uses_uplink == on_uplink; });
  return static_cast<std::size_t>(taken) < (on_uplink ? options_.most_uplink : options_.most_running);
}

std::vector<image_step> image_jobs::next(runtime::instant now) {
  std::vector<image_step> steps;
  // What containers wait for goes before copies that are made in case.
  for (const bool asked_for : {true, false})
    for (auto& [reference, x] : wanted_) {
      if (x.asked_for != asked_for || !has_place(takes_uplink(x)))
        continue;
      auto step = step_for(reference, x, now);
      if (!step)
        continue;
      x.is_finding = step->what == image_step::kind::find;
      x.is_running = !x.is_finding;
      x.uses_uplink = takes_uplink(x);
      x.how_far = {};
      steps.push_back(std::move(*step));
    }
  return steps;
}

void image_jobs::progress(const std::string& reference, const fetch_progress& how_far) {
  if (const auto it = wanted_.find(reference); it != wanted_.end() && it->second.is_running)
    it->second.how_far = how_far;
}

void image_jobs::found(const std::string& reference, const std::vector<found_at>& answers, runtime::instant now) {
  const auto it = wanted_.find(reference);
  if (it == wanted_.end() || !it->second.is_finding)
    return;
  auto& x = it->second;
  x.is_finding = false;
  const found_at* newest = nullptr;
  bool under_way = false;
  for (const auto& a : answers) {
    under_way = under_way || a.answer.under_way;
    if (!a.answer.manifest.empty() && (newest == nullptr || a.answer.added_at > newest->answer.added_at))
      newest = &a;
  }
  x.asked_at = now; // the site may still have its say before the next look
  if (newest == nullptr && under_way)
    return; // another host brings it: look again
  image_order own;
  own.reference = reference;
  own.may_ask_registry = true;
  if (newest != nullptr) {
    own.manifest = newest->answer.manifest;
    for (const auto& a : answers)
      if (a.answer.manifest == own.manifest)
        own.from.push_back(a.host);
  }
  x.ordered = std::move(own);
  x.helps_itself = true;
}

void image_jobs::done(const std::string& reference, std::uint64_t look_since) {
  const auto it = wanted_.find(reference);
  if (it == wanted_.end())
    return;
  if (it->second.ordered && it->second.ordered->look_since > look_since) {
    it->second.is_running = false;
    it->second.file.clear();
  } else {
    wanted_.erase(it);
  }
}

bool image_jobs::failed(const std::string& reference, const image_failure& failure, runtime::instant now,
                        const std::vector<std::string>& doubted) {
  const auto it = wanted_.find(reference);
  if (it == wanted_.end())
    return true;
  auto& x = it->second;
  const bool was_import = !x.file.empty();
  x.is_running = false;
  x.is_here = false; // it may be damaged
  x.file.clear();
  x.reason = failure.message;
  ++x.failures;
  x.is_to_be_awaited = is_to_be_awaited(failure.code);
  x.keeps_pauses = x.is_to_be_awaited || failure.code == image_errc::digest_mismatch;
  x.doubted = {doubted.begin(), doubted.end()};
  x.is_hopeless = !is_retryable(failure.code) && x.ordered && x.ordered->may_ask_registry;
  auto delay = options_.retry_first;
  for (std::uint32_t i = 1; i < x.failures && delay < options_.retry_most; ++i)
    delay *= 2;
  x.not_before = now + std::min(delay, options_.retry_most);
  x.asked_at = now;
  const bool tell = was_import || x.is_to_be_awaited || !is_retryable(failure.code) || x.failures >= options_.tell_after;
  if (tell && !was_import)
    x.asked_for = false;
  // This host's own idea of the source is made anew by looking again; the site's stays until the site thinks otherwise.
  if (std::exchange(x.helps_itself, false))
    x.ordered.reset();
  // Who imports is told, and it is over.
  if (was_import && !x.ordered && !x.asked_for)
    wanted_.erase(it);
  return tell;
}

std::optional<runtime::instant> image_jobs::next_deadline() const {
  std::optional<runtime::instant> first;
  for (const auto& [reference, x] : wanted_) {
    // Without a place the end of another one leads to the next.
    const bool waits = ((x.asked_for && !x.only_site) || has_source(x)) && has_place(takes_uplink(x));
    if (waits && !x.is_running && !x.is_finding && (!first || due(x) < *first))
      first = due(x);
  }
  return first;
}

bool image_jobs::is_running(const std::string& reference) const {
  const auto it = wanted_.find(reference);
  return it != wanted_.end() && it->second.is_running;
}

std::uint32_t image_jobs::failures(const std::string& reference) const {
  const auto it = wanted_.find(reference);
  return it == wanted_.end() ? 0 : it->second.failures;
}

std::size_t image_jobs::running() const {
  return static_cast<std::size_t>(
    std::count_if(wanted_.begin(), wanted_.end(), [](const auto& x) { return x.second.is_running; }));
}

bool image_jobs::needs_site() const {
  return std::any_of(wanted_.begin(), wanted_.end(),
                     [](const auto& x) { return x.second.asked_for && !x.second.is_running && !has_source(x.second); });
}

std::vector<image_transfer> image_jobs::transfers() const {
  std::vector<image_transfer> rows;
  for (const auto& [reference, x] : wanted_) {
    image_transfer row;
    row.reference = reference;
    row.state = x.is_running      ? x.how_far.state
                : x.failures > 0  ? transfer_state::failed
                                  : transfer_state::waiting;
    row.asked_for = x.asked_for;
    if (x.is_running) {
      row.from = x.how_far.from;
      // An import ends as an image that nobody else need fetch, just as one from the registry does.
      row.from_registry = x.how_far.from_registry || !x.file.empty() || (x.ordered && x.ordered->may_ask_registry);
      row.bytes_done = x.how_far.bytes_done;
      row.bytes_total = x.how_far.bytes_total;
    }
    row.attempts = x.failures;
    row.reason = x.reason;
    row.is_hopeless = x.is_hopeless && !x.is_running;
    rows.push_back(std::move(row));
  }
  return rows;
}

} // namespace prunella::actors
