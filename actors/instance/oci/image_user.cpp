#include "actors/instance/oci/image_user.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "actors/instance/unique_fd.hpp"

namespace prunella::actors {

namespace {

// The kernel's own; (uid_t)-1 means "do not change" to it.
constexpr std::uint32_t max_id = 4294967294u;

std::optional<std::uint32_t> to_id(std::string_view text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || id > max_id)
    return std::nullopt;
  return id;
}

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos)
      return parts;
    text.remove_prefix(at + 1);
  }
}

/// Lines with at least `fields` fields, split.
template <class Visitor>
void for_each_line(std::string_view text, std::size_t fields, Visitor&& visit) {
  for (const auto line : split(text, '\n'))
    if (const auto parts = split(line, ':'); parts.size() >= fields)
      visit(parts);
}

struct account {
  std::string_view name;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string_view home;
};

/// The first account of that name, or of that number when `wanted` is one.
std::optional<account> find_account(std::string_view wanted, std::string_view passwd) {
  std::optional<account> found;
  for_each_line(passwd, 6, [&](const auto& parts) {
    const auto uid = to_id(parts[2]);
    const auto gid = to_id(parts[3]);
    const bool meant = parts[0] == wanted || (is_number(wanted) && uid == to_id(wanted));
    if (!found && uid && gid && meant)
      found = account{parts[0], *uid, *gid, parts[5]};
  });
  return found;
}

std::optional<std::uint32_t> find_group(std::string_view wanted, std::string_view group) {
  if (is_number(wanted))
    return to_id(wanted);
  std::optional<std::uint32_t> found;
  for_each_line(group, 3, [&](const auto& parts) {
    if (!found && parts[0] == wanted)
      found = to_id(parts[2]);
  });
  return found;
}

std::vector<std::uint32_t> groups_of(std::string_view name, std::string_view group) {
  std::vector<std::uint32_t> groups;
  for_each_line(group, 4, [&](const auto& parts) {
    const auto members = split(parts[3], ',');
    const auto gid = to_id(parts[2]);
    if (gid && std::find(members.begin(), members.end(), name) != members.end())
      groups.push_back(*gid);
  });
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  return groups;
}

driver_failure unknown(std::string_view kind, std::string_view name, std::string_view file) {
  return {driver_errc::invalid_request, "the image has no " + std::string{kind} + " `" +
                                            std::string{name.substr(0, 100)} + "` in its " + std::string{file} +
                                            ": name one that is there, or give the number"};
}

} // namespace

std::variant<image_user, driver_failure> resolve_user(std::string_view user, std::string_view passwd,
                                                      std::string_view group) {
  const auto colon = user.find(':');
  const auto named = user.substr(0, colon);
  const auto wanted = named.empty() ? std::string_view{"0"} : named;
  const auto account = find_account(wanted, passwd);
  image_user made;
  if (account) {
    made.uid = account->uid;
    made.gid = account->gid;
    made.groups = groups_of(account->name, group);
    if (!account->home.empty() && account->home.front() == '/')
      made.home = account->home;
  } else if (const auto uid = to_id(wanted)) {
    made.uid = *uid;
  } else {
    return unknown("user", wanted, "/etc/passwd");
  }
  if (colon == std::string_view::npos)
    return made;
  const auto gid = find_group(user.substr(colon + 1), group);
  if (!gid)
    return unknown("group", user.substr(colon + 1), "/etc/group");
  made.gid = *gid;
  made.groups.clear();
  return made;
}

std::string read_in_root(const std::string& root, const std::string& path, std::size_t max_bytes) {
  const unique_fd base{::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  open_how how{};
  // Not blocking: a pipe in the place of the file must not hold the driver.
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const unique_fd file{static_cast<int>(::syscall(SYS_openat2, base.get(), path.c_str(), &how, sizeof(how)))};
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return {};
  std::string bytes;
  std::array<char, 16 * 1024> buffer{};
  while (bytes.size() <= max_bytes) {
    const auto got = ::read(file.get(), buffer.data(), buffer.size());
    if (got <= 0)
      return got == 0 ? bytes : std::string{};
    bytes.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return {};
}

} // namespace prunella::actors
