#pragma once

// The hosts that can hold a service, best first, while the board fills. Two levels of heaps, because one more replica makes
// all hosts of its spread domain worse at once: hosts within their domain, domains by their best host.
//
// What is stored may be outdated, but only to the good: as a board only fills, the true rank of a host or domain is equal or
// worse. So the first stored one that is still true is the best of all ("lazy greedy"); others are put back where they
// belong when they come to the top.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace prunella::actors {

/// How good a host is for a service, smaller is better: fewest replicas of the service on it (less than 65,536), then
/// whether it has the service's images, then the least reserved share of its cpu or memory (thousandths), then the fewest
/// instances (less than 2^31), then its place in the order of ids.
class host_rank {
public:
  host_rank(std::uint32_t replicas, bool lacks_image, std::uint32_t share, std::uint32_t instances, std::uint32_t slot)
    : order_((std::uint64_t{replicas} << 48) | (std::uint64_t{lacks_image} << 47) | (std::uint64_t{share & 0xffffU} << 31)
             | (instances & 0x7fffffffU)),
      slot_(slot) {}

  std::uint32_t slot() const { return slot_; }

  bool operator<(const host_rank& x) const { return order_ != x.order_ ? order_ < x.order_ : slot_ < x.slot_; }
  bool operator==(const host_rank& x) const { return order_ == x.order_ && slot_ == x.slot_; }

private:
  std::uint64_t order_; ///< the first three, so that they compare as one number
  std::uint32_t slot_;
};

class host_order {
public:
  /// `hosts[d]`: the hosts of spread domain d that can hold the service, at ranks that are true now.
  explicit host_order(std::vector<std::vector<host_rank>> hosts) : hosts_(std::move(hosts)) {
    for (std::uint32_t domain = 0; domain < hosts_.size(); ++domain) {
      auto& heap = hosts_[domain];
      std::make_heap(heap.begin(), heap.end(), worse{});
      if (!heap.empty())
        domains_.push_back({0, heap.front(), domain});
    }
    std::make_heap(domains_.begin(), domains_.end(), worse{});
  }

  /// The best host's slot; nothing if none is left. `rank_of(slot)` is the true rank of a host, nothing if it can no
  /// longer hold the service; `in_domain[d]` the replicas in domain d. Both only grow from call to call.
  template <class RankOf>
  std::optional<std::uint32_t> best(const std::vector<std::uint32_t>& in_domain, RankOf rank_of) {
    while (!domains_.empty()) {
      std::pop_heap(domains_.begin(), domains_.end(), worse{});
      auto& stored = domains_.back();
      const auto domain = stored.domain;
      if (!settle(hosts_[domain], rank_of)) {
        domains_.pop_back();
        continue;
      }
      const ranked_domain now{in_domain[domain], hosts_[domain].front(), domain};
      const bool is_true = !(stored < now);
      stored = now;
      std::push_heap(domains_.begin(), domains_.end(), worse{});
      if (is_true)
        return now.best.slot();
    }
    return std::nullopt;
  }

private:
  struct ranked_domain {
    std::uint32_t replicas; ///< of the service in it
    host_rank best;
    std::uint32_t domain;

    bool operator<(const ranked_domain& x) const {
      return replicas != x.replicas ? replicas < x.replicas : best < x.best;
    }
  };

  /// For the heaps of the standard library, whose first element is the largest.
  struct worse {
    template <class T>
    bool operator()(const T& a, const T& b) const {
      return b < a;
    }
  };

  /// Makes the first host of `heap` one whose rank is true; false if none is left.
  template <class RankOf>
  static bool settle(std::vector<host_rank>& heap, RankOf& rank_of) {
    while (!heap.empty()) {
      const auto now = rank_of(heap.front().slot());
      if (now && *now == heap.front())
        return true;
      std::pop_heap(heap.begin(), heap.end(), worse{});
      if (now) {
        heap.back() = *now;
        std::push_heap(heap.begin(), heap.end(), worse{});
      } else {
        heap.pop_back();
      }
    }
    return false;
  }

  std::vector<std::vector<host_rank>> hosts_; ///< a heap per domain
  std::vector<ranked_domain> domains_;        ///< a heap
};

} // namespace prunella::actors
