#include "tools/agent/site_init.hpp"

#include <ostream>

#include "net/identity.hpp"
#include "tools/agent/site_file.hpp"

namespace prunella::tools {

int run_site_init(const site_init_options& options, std::ostream& out, std::ostream& err) {
  const auto site = read_site_file(options.file, err);
  if (!site)
    return 1;
  std::vector<std::string> hosts;
  for (const auto& host : site->hosts)
    hosts.push_back(host.id);
  try {
    net::create_site_identity(options.dir, site->name, hosts);
  } catch (const net::identity_error& error) {
    err << "prunella: " << error.what() << '\n';
    return 1;
  }
  out << "site " << site->name << ": a certificate authority and " << hosts.size() << " host identities are in "
      << options.dir << '\n';
  for (const auto& host : hosts)
    out << "  " << host << "  " << net::host_identity_dir(options.dir, host).string() << '\n';
  out << "Next: copy each host's folder to its machine as DATA_DIR/tls, keep " << options.dir
      << "/ca.key in a safe place, and start `prunella host run` there.\n";
  return 0;
}

} // namespace prunella::tools
