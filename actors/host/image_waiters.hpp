#pragma once

// Which containers of this host wait for which image, or for the site's word about a tag. For the image keeper.

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <caf/error.hpp>
#include <caf/typed_response_promise.hpp>

#include "actors/instance/images.hpp"

namespace prunella::actors {

/// A container, and whom to answer.
struct image_waiter {
  std::string holder;
  caf::typed_response_promise<provided_image> promise;
};

class image_waiters {
public:
  /// `most` may wait at a time; who comes then is to be refused.
  explicit image_waiters(std::size_t most = 0) : most_(most) {}

  bool is_full() const { return count_ >= most_; }

  /// It waits from now on, until `answer`.
  image_waiter admit(std::string holder, caf::typed_response_promise<provided_image> promise);

  /// `what`: a `provided_image` or an error.
  template <class T>
  void answer(image_waiter& x, T what) {
    --count_;
    x.promise.deliver(std::move(what));
  }

  /// It waits until the image is here.
  void await_image(const std::string& reference, image_waiter x) { for_image_[reference].push_back(std::move(x)); }

  /// It waits until the site has said what the tag means to it.
  void await_decision(const std::string& tag, image_waiter x) { for_decision_[tag].push_back(std::move(x)); }

  /// Those who wait for the image, and from now on no longer do.
  std::vector<image_waiter> take(const std::string& reference);

  struct decided {
    std::string tag;
    std::vector<image_waiter> waiters;
    bool was_last = false; ///< nobody waits for a word about this tag any more
  };
  /// Those for whom the tag that they wait for is not open any more, as `is_open` says.
  std::vector<decided> take_decided(const std::function<bool(const std::string& holder, const std::string& tag)>& is_open);

  /// Answers all who wait for the image, or for the site's word about the tag, with `why`.
  void refuse(const std::string& reference, const caf::error& why);

  /// Answers all.
  void end_all(const caf::error& why);

private:
  using by_reference = std::map<std::string, std::vector<image_waiter>>;

  std::size_t most_;
  std::size_t count_ = 0;
  by_reference for_image_;
  by_reference for_decision_;
};

} // namespace prunella::actors
