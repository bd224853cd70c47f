#include <memory>

#include <CLI/CLI.hpp>

#include "tools/cli/grammar/grammar.hpp"
#include "tools/cli/grammar/validators.hpp"
#include "tools/cli/verbs.hpp"

namespace prunella::tools {

namespace {

void add_config(grammar& words) {
  auto* files = words.add_group("config", "Check config files");
  const auto options = std::make_shared<validate_options>();
  auto* validate = words.add(files, "validate", "Report every problem in config files, with its place",
                             "  prunella config validate site.yaml popcorn.yaml",
                             [&words, options] { return run_validate(*options, words.io); });
  validate->add_option("FILE", options->files, "YAML or JSON; `-` is standard input")->required()->type_name("FILE");
}

void add_image(grammar& words) {
  auto* image = words.add_group("image", "Bring images to a site that has no registry at hand");
  const auto options = std::make_shared<image_import_options>();
  auto* import = words.add(image, "import", "Import an OCI layout folder or an archive on this host; the site copies it on",
                           "  prunella image import web.tar --name registry.example/shop/web:1.2\n"
                           "  prunella image import /media/usb/layout --name registry.example/shop/web:1.2",
                           [&words, options] {
                             options->connection = words.connection;
                             return run_image_import(*options, words.io);
                           });
  import->add_option("FILE|FOLDER", options->path, "From `docker save`, `podman save` or `skopeo copy`")
    ->required()
    ->check(some_text())
    ->type_name("");
  import->add_option("--name", options->name, "What applications call it; if left out, as the file says")
    ->check(some_text())
    ->type_name("REFERENCE");
}

} // namespace

void add_files(grammar& words) {
  add_config(words);
  words.add(&words.app, "version", "Print the version", "  prunella version", [&words] {
    words.io.out << "prunella " << PRUNELLA_VERSION << '\n';
    return exit_ok;
  });
  add_image(words);
}

} // namespace prunella::tools
