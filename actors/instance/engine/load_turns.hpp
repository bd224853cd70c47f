#pragma once

// Who loads which image into an engine: that takes as long as the engine takes to unpack it, up to many minutes. Starts have few
// threads, and those of other images are not to wait for it.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace prunella::actors {

class load_turns {
public:
  /// So many images are loaded at a time: fewer than there are threads for starts.
  static constexpr std::size_t most = 2;

  /// The right to load an image, for as long as it is there.
  class turn {
  public:
    turn(load_turns& of, std::string image) : of_(&of), image_(std::move(image)) {}
    turn(turn&& other) noexcept : of_(std::exchange(other.of_, nullptr)), image_(std::move(other.image_)) {}
    turn& operator=(turn&&) = delete;
    ~turn();

  private:
    load_turns* of_;
    std::string image_;
  };

  /// Nothing: within `patience` neither did who loads this image end, nor was there room for one more. Any thread.
  std::optional<turn> take(const std::string& image, std::chrono::milliseconds patience);

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> loading_;
};

} // namespace prunella::actors
