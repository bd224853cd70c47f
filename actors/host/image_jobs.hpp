#pragma once

// Which images this host is to have and has not, and what to do about it next. Pure: the image keeper tells what happens
// and carries out what `next` says.
//
// An image is wanted because a container asked for it or because the site ordered a copy. The site's orders say from whom
// it comes, so that the uplink is used once; a host that hears nothing from a leader in time helps itself: it asks the
// other hosts, and then the registry.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/host/image_fetch.hpp"
#include "actors/image_messages.hpp"
#include "actors/instance/images.hpp"
#include "runtime/instant.hpp"

namespace prunella::actors {

struct image_job_options {
  std::size_t most_running = 2; ///< fetches at a time from other hosts and files
  std::size_t most_uplink = 2;  ///< and from registries: a slow one holds up no failover that takes a copy from the next host
  std::size_t most_wanted = 1000; ///< images; asks for more are refused
  /// So long a container waits for the site to say from whom an image comes, before this host helps itself.
  std::chrono::milliseconds patience{3'000};
  std::chrono::milliseconds retry_first{1'000}; ///< after a failure, doubling …
  std::chrono::milliseconds retry_most{300'000}; ///< … up to this; a failure is remembered so long
  std::chrono::milliseconds retry_awaited{30'000}; ///< and up to this while a container waits
  /// Failures in a row after which those who wait are told. At once if time alone does not heal it; and if waiting is all that
  /// can be done, which they do, and say why.
  std::uint32_t tell_after = 3;

  PRUNELLA_FIELDS(image_job_options, most_running, most_uplink, most_wanted, patience, retry_first, retry_most, retry_awaited, tell_after)
};

/// What the keeper is to do now.
struct image_step {
  enum class kind : std::uint8_t {
    fetch, ///< run `order` in a worker, then `ended`
    find,  ///< ask the other hosts for `order.reference`, then `found`
  };
  kind what = kind::fetch;
  fetch_order order;

  PRUNELLA_FIELDS(image_step, what, order)
};

/// What hosts answered to `find_image`.
struct found_at {
  std::string host;
  image_found answer;

  PRUNELLA_FIELDS(found_at, host, answer)
};

class image_jobs {
public:
  explicit image_jobs(image_job_options options, bool unpack) : options_(options), unpack_(unpack) {}

  /// A container waits for the image. Who asks anew after a failure gets as many attempts again, soon; but where waiting is all
  /// that can be done the pauses stay as long as they have become, within `retry_awaited`. With `only_site`, of a tag that the site has to decide about, this host never helps
  /// itself. False: too many are wanted already.
  bool ask(const std::string& reference, runtime::instant now, bool only_site = false);

  /// No container waits for it any more.
  void no_longer_asked(const std::string& reference);

  /// All of the wanted image is on the disk already: it only has to be unpacked, which takes no source.
  void is_here(const std::string& reference);

  /// All that the site wants here; what it wanted before and does not name any more is given up, unless a container waits
  /// or it is under way. What failed lately is remembered, so that the site sees it and does not ask at once again.
  void order(const std::vector<image_order>& orders, runtime::instant now);

  /// A file is to be imported as `reference`. False: that name is on its way already, or too many are wanted.
  bool import(const std::string& reference, const std::string& file, runtime::instant now);

  /// What to do now; each step is given once. `present`: images that are here and complete are no longer wanted.
  std::vector<image_step> next(runtime::instant now);

  void progress(const std::string& reference, const fetch_progress& how_far);

  /// The hosts answered to a `find` step. Of several images under one name the one that came to the site last counts.
  void found(const std::string& reference, const std::vector<found_at>& answers, runtime::instant now);

  /// A fetch was successful: the image is here, and if it is a tag, what it has meant after `look_since`. One that the site
  /// wants to be looked at again since then stays wanted.
  void done(const std::string& reference, std::uint64_t look_since = 0);

  /// A fetch failed. True: whoever waits is to be told, it will not be here soon.
  /// `doubted`: hosts that gave other bytes than they promised. The next attempt is made without them, if nobody else is left at
  /// the registry; when that fails too, or the site no longer names them, they count again.
  bool failed(const std::string& reference, const image_failure& failure, runtime::instant now,
              const std::vector<std::string>& doubted = {});

  /// When `next` may have something to do though nothing happened; nothing: never.
  std::optional<runtime::instant> next_deadline() const;

  bool is_wanted(const std::string& reference) const { return wanted_.count(reference) != 0; }
  bool is_running(const std::string& reference) const;
  /// In a row; 0 for one that is not wanted.
  std::uint32_t failures(const std::string& reference) const;
  std::size_t running() const;
  /// Containers wait, and the site has not said from whom the image comes.
  bool needs_site() const;

  /// In order of references.
  std::vector<image_transfer> transfers() const;

private:
  struct wanted {
    bool asked_for = false;
    bool only_site = false;    ///< of `asked_for`
    bool is_running = false;
    bool uses_uplink = false;  ///< while it runs
    bool is_finding = false;
    bool is_here = false;      ///< only to be unpacked
    bool helps_itself = false; ///< `ordered` is this host's own idea
    std::optional<image_order> ordered;
    std::string file; ///< to import
    runtime::instant asked_at{};
    runtime::instant not_before{};
    fetch_progress how_far;
    std::uint32_t failures = 0;
    bool is_to_be_awaited = false; ///< by the last failure
    bool keeps_pauses = false;     ///< the same: who asks anew does not make it be tried sooner
    std::set<std::string> doubted; ///< hosts that the next attempt leaves out
    bool is_hopeless = false;      ///< the same
    std::string reason;
  };

  wanted* want(const std::string& reference);
  std::optional<image_step> step_for(const std::string& reference, wanted& x, runtime::instant now) const;
  static bool has_source(const wanted& x);
  static std::vector<std::string> peers_of(const wanted& x);
  static bool takes_uplink(const wanted& x);
  bool has_place(bool on_uplink) const;
  runtime::instant due(const wanted& x) const;

  image_job_options options_;
  bool unpack_ = false;
  std::map<std::string, wanted> wanted_;
};

} // namespace prunella::actors
