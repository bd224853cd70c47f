#pragma once

// The calls that the driver makes at a container engine, each with a finite patience. Any thread may call; calls do not wait
// for each other. Failures: engine_away while the engine does not answer and has not been away for `patience`, after that
// runtime_failed; no_driver for an engine that is too old; else what the engine's own words mean.

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/instance/engine/engine_api.hpp"
#include "actors/instance/images.hpp"
#include "actors/instance/process.hpp"
#include "net/unix_http.hpp"

namespace prunella::actors {

/// How long an engine may be away, as while it is updated, before that counts as a failure of who needs it.
inline constexpr std::chrono::milliseconds engine_patience{15'000};

/// Of a call, or of what was made of one; null: it went well.
template <class T>
const driver_failure* failure_in(const driver_result<T>& result) {
  return std::get_if<driver_failure>(&result);
}

/// `configured`, or where Docker, else Podman, has its socket on this machine.
std::string engine_socket(const std::string& configured);

class engine_client {
public:
  explicit engine_client(std::string configured_socket, std::chrono::milliseconds patience = engine_patience)
    : configured_(std::move(configured_socket)), patience_(patience) {}

  std::string socket() const { return engine_socket(configured_); }

  /// Asked once, and again after the engine was away.
  driver_result<engine_version> version();
  /// Asks in any case.
  driver_result<engine_version> ask_version();

  /// Whether the engine has the image, under `engine_image_name`. What is called so and has other layers is not it.
  driver_result<bool> has(const provided_image& image);
  /// Gives it the image, in the place of what is called so, from the host's image store: a start never needs the uplink. May take
  /// half an hour.
  std::optional<driver_failure> load(const provided_image& image);
  /// Names of images that `load` brought.
  driver_result<std::vector<std::string>> images();
  /// False: it is in use, or was not there.
  bool remove_image(const std::string& name);

  /// → id. Nothing: the name is taken.
  driver_result<std::optional<std::string>> create(const std::string& name, const std::string& body);
  std::optional<driver_failure> start(const std::string& id);
  /// By id or name. Nothing: there is none.
  driver_result<std::optional<engine_container>> inspect(const std::string& id);
  driver_result<std::vector<engine_listed>> list(const std::string& agent);
  std::optional<driver_failure> rename(const std::string& id, const std::string& name);
  /// Ends it if it runs. One that is not there is no failure.
  std::optional<driver_failure> remove(const std::string& id);
  /// What it printed since `since` (Unix time with a fraction of nine digits; empty: from the start), and goes on to print.
  driver_result<net::unix_stream> logs(const std::string& id, const std::string& since);

private:
  using milliseconds = std::chrono::milliseconds;

  driver_result<net::http_answer> call(std::string_view method, const std::string& target, std::string body, milliseconds timeout);
  driver_result<net::http_answer> ask(std::string_view method, const std::string& target, std::string body, milliseconds timeout);
  driver_result<net::http_answer> taken(net::http_outcome outcome);
  driver_failure away(const net::http_failure& why);
  std::optional<driver_failure> upload(const provided_image& image, const std::string& name);
  static driver_failure refused(const std::string& what, const net::http_answer& answer);

  const std::string configured_;
  const milliseconds patience_;
  std::mutex mutex_;
  std::optional<engine_version> version_;
  std::optional<std::chrono::steady_clock::time_point> away_since_;
};

} // namespace prunella::actors
