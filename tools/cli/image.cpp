// Images that come from files.

#include <filesystem>
#include <ostream>
#include <random>

#include "actors/api/image_view.hpp"
#include "config/json.hpp"
#include "tools/cli/verbs.hpp"
#include "tools/cli/views.hpp"

namespace prunella::tools {

namespace {

/// Names this import, so that asking again finds it.
std::string draw_key() {
  std::random_device device;
  return std::to_string(device()) + std::to_string(device());
}

struct imported_body {
  std::string state; ///< imported | importing
  std::string name;
  std::string digest;
  std::uint64_t bytes = 0;
  std::string host;

  PRUNELLA_FIELDS(imported_body, state, name, digest, bytes, host)
};

} // namespace

int run_image_import(const image_import_options& options, terminal& io) {
  std::error_code error;
  const auto path = std::filesystem::absolute(options.path, error).lexically_normal().string();
  if (error || !std::filesystem::exists(path, error)) {
    io.err << "prunella: there is no file or folder `" << printable(options.path)
           << "`\n  fix: give an OCI layout folder, or an archive made with `docker save`, `podman save` or `skopeo copy`\n";
    return exit_failed;
  }
  boost::json::object body;
  body["path"] = path.size() > 1 && path.back() == '/' ? path.substr(0, path.size() - 1) : path;
  body["name"] = options.name;
  body["key"] = draw_key();
  const auto text = config::json_text(body);
  // One endpoint only: the file is on that host, and the key is known to its agent alone.
  auto connection = options.connection;
  connection.endpoints.resize(1);
  for (;;) {
    const auto result = call_api(connection, "POST", "/v1/images", text);
    if (!result.error.empty()) {
      io.err << result.error;
      return exit_failed;
    }
    imported_body done;
    for (const auto& problem : config::from_json(result.value, done)) {
      io.err << "prunella: the answer to POST /v1/images is not understood: " << problem << '\n';
      return exit_failed;
    }
    if (done.state == "imported") {
      io.out << "image " << done.name << " imported at " << done.host << ": " << done.digest << ", " << bytes_text(static_cast<std::int64_t>(done.bytes))
             << '\n';
      return exit_ok;
    }
    if (!io.next_look(std::chrono::milliseconds{100})) {
      io.err << "prunella: the import goes on at " << done.host << "\n  fix: `prunella get images` shows how far it is\n";
      return exit_failed;
    }
  }
}

} // namespace prunella::tools
