#pragma once

// A registry that behaves as a test wants: it stalls, cuts, lies, asks for a password. Plain HTTP on a port of
// loopback.

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/storage/images/image_builder.hpp"

namespace prunella::tests {

class fake_registry {
public:
  enum class behaviour { answers, stalls, cuts, lies, refuses, floods };

  fake_registry();
  fake_registry(const fake_registry&) = delete;
  fake_registry& operator=(const fake_registry&) = delete;
  ~fake_registry();

  /// `127.0.0.1:PORT`
  const std::string& address() const { return address_; }

  /// Serves the image under `name:tag`; its manifest as `media_type`.
  void add(const test_image& image, const std::string& name, const std::string& tag);
  /// Serves any document as `name:tag` and by its digest.
  void add_manifest(const std::string& name, const std::string& tag, const std::string& bytes, const std::string& type);

  /// What happens when this blob is fetched: half of it and then nothing, half and the end, other bytes, 401, or
  /// bytes without end.
  void treat(const std::string& blob, behaviour how);

  /// The paths that were asked for with GET, in order.
  std::vector<std::string> requests() const;

private:
  void serve();
  void answer(int connection);
  /// `then`: what is to happen behind the response.
  std::string response(const std::string& path, behaviour& then);

  struct content {
    std::string bytes;
    std::string type;
    behaviour how = behaviour::answers;
  };

  int listener_ = -1;
  std::string address_;
  mutable std::mutex mutex_;
  std::map<std::string, content> contents_;
  std::vector<std::string> requests_;
  std::set<int> connections_;
  bool stopping_ = false;
  std::thread acceptor_;
  std::vector<std::thread> workers_;
};

} // namespace prunella::tests
