#pragma once

// Who waits for which import, by the key that they chose. For the image keeper.

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <caf/error.hpp>
#include <caf/typed_response_promise.hpp>

#include "actors/host/image_fetch.hpp"
#include "actors/host/image_keeper.hpp"
#include "runtime/instant.hpp"

namespace prunella::actors {

class image_imports {
public:
  using promise = caf::typed_response_promise<image_imported>;

  explicit image_imports(std::chrono::milliseconds result_kept) : result_kept_(result_kept) {}

  /// True if there is one of this key: `asker` gets what it leads to, or led to lately.
  bool join(const std::string& key, promise asker, runtime::instant now);

  /// `key` is new.
  void begin(const std::string& key, promise asker);

  /// What it is called is known now.
  void set_name(const std::string& key, const std::string& reference);

  /// It does not even begin: who waits is told, and the same key may be tried again at once.
  void refuse(const std::string& key, const caf::error& why);

  /// What was brought as `reference` came, or failed.
  void end(const std::string& reference, const fetch_outcome& outcome, runtime::instant now);

  /// Whoever waits is told.
  void end_all(const caf::error& why);

  /// Those whose results are kept included.
  std::size_t size() const { return imports_.size(); }

private:
  struct import {
    std::string reference; ///< empty: not known yet
    std::vector<promise> waiting;
    bool is_over = false;
    image_imported result;
    std::optional<image_failure> failure;
    runtime::instant forget_at{};
  };

  static void tell(const import& x, promise& asker);

  std::chrono::milliseconds result_kept_;
  std::map<std::string, import> imports_;
};

} // namespace prunella::actors
