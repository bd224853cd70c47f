#pragma once

// Container records that survive a driver actor, not the process; writes fail on demand.

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "storage/container_records.hpp"

namespace prunella::tests {

class memory_container_records : public storage::container_records {
public:
  storage::result<void> put(const storage::container_record& record) override {
    const std::lock_guard lock{mutex_};
    if (full_)
      return storage::storage_error{storage::storage_errc::disk_full, "no space left"};
    records_[record.name] = record;
    return {};
  }

  storage::result<void> erase(const std::string& name) override {
    const std::lock_guard lock{mutex_};
    records_.erase(name);
    return {};
  }

  storage::result<std::vector<storage::container_record>> list() override {
    const std::lock_guard lock{mutex_};
    std::vector<storage::container_record> all;
    for (const auto& [name, record] : records_)
      all.push_back(record);
    return all;
  }

  /// None is of what may run.
  bool are_over() {
    const auto all = *list();
    return std::all_of(all.begin(), all.end(), [](const auto& x) { return x.has_ended_well; });
  }

  void set_full(bool full) {
    const std::lock_guard lock{mutex_};
    full_ = full;
  }

private:
  std::mutex mutex_;
  bool full_ = false;
  std::map<std::string, storage::container_record> records_;
};

} // namespace prunella::tests
