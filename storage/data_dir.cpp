#include "storage/data_dir.hpp"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/os_files.hpp"

namespace prunella::storage {

namespace fs = std::filesystem;

namespace {

constexpr const char* identity_name = "identity";
constexpr const char* lock_name = "lock";
constexpr std::string_view heading = "prunella-data-directory ";
constexpr std::size_t probe_bytes = 64 * 1024;

bool is_one_word(const std::string& name) {
  return !name.empty() && name.size() <= 253 && name.find_first_of(" \t\r\n") == std::string::npos;
}

result<void> make_folder(const std::string& path) {
  std::error_code error;
  const auto parent = folder_of(path);
  fs::create_directories(parent, error);
  if (error)
    return os_error(error.value(), "create the folder " + parent);
  if (::mkdir(path.c_str(), 0700) == 0)
    return sync_folder(parent);
  if (errno != EEXIST)
    return os_error(errno, "create the data directory " + path);
  return {};
}

result<void> check_folder(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    return os_error(errno, "look at the data directory " + path);
  if (!S_ISDIR(status.st_mode))
    return storage_error{storage_errc::inaccessible,
                         path + " is not a folder, so it cannot be a data directory; choose another path"};
  return {};
}

/// Keys and votes are in it, so nobody else may look. Only once it is known to be ours.
result<void> make_private(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    return os_error(errno, "look at the data directory " + path);
  if ((status.st_mode & 077) != 0 && ::chmod(path.c_str(), 0700) != 0)
    return os_error(errno, "make the data directory " + path + " private (mode 0700)");
  return {};
}

/// The name of something that is not ours; empty if there is nothing.
result<std::string> stranger_in(const std::string& path) {
  std::error_code error;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    const auto name = entry->path().filename().string();
    if (name != lock_name && name != std::string(identity_name) + ".new" && name != tls_folder && name != "lost+found")
      return name;
  }
  if (error)
    return os_error(error.value(), "list the data directory " + path);
  return std::string{};
}

/// Each file in it would otherwise be found out by the actor that opens it, one restart after the other.
result<void> check_access(const std::string& path) {
  std::error_code error;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    const auto& file = entry->path();
    if (entry->is_regular_file(ignored) && ::faccessat(AT_FDCWD, file.c_str(), R_OK | W_OK, AT_EACCESS) != 0)
      return os_error(errno, "open " + file.string() + " for reading and writing");
  }
  if (error)
    return os_error(error.value(), "list the data directory " + path);
  return {};
}

/// Writes and removes a little, so that a full or read-only disk is told at the start and not by the first vote.
result<void> probe(const std::string& path) {
  const auto file = path + "/probe";
  unique_fd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd)
    return os_error(errno, "write into the data directory " + path);
  const std::string bytes(probe_bytes, 'p');
  const auto written = ::write(fd.get(), bytes.data(), bytes.size());
  int failed = 0;
  if (written < 0 || ::fsync(fd.get()) != 0)
    failed = errno;
  else if (written != static_cast<ssize_t>(bytes.size()))
    failed = ENOSPC; // a short write to a file is how a nearly full disk answers
  ::unlink(file.c_str());
  if (failed != 0)
    return os_error(failed, "write into the data directory " + path);
  return {};
}

} // namespace

std::string identity_text(const host_owner& owner) {
  return std::string(heading) + std::to_string(data_dir_format) + "\nsite " + owner.site + "\nhost " + owner.host +
         "\n";
}

result<void> check_identity_text(const std::string& text, const host_owner& owner, const std::string& where) {
  std::istringstream lines(text);
  std::string word, format, site_word, site, host_word, host;
  lines >> word >> format >> site_word >> site >> host_word >> host;
  const storage_error unreadable{storage_errc::damaged, "the identity of the data directory " + where +
                                                            " is unreadable; restore " + where + "/" + identity_name +
                                                            ", or move the folder away and let the host rejoin empty"};
  if (word + " " != heading || format.empty() || format.find_first_not_of("0123456789") != std::string::npos ||
      format.size() > 9)
    return unreadable;
  if (std::stoi(format) != data_dir_format) {
    const bool newer = std::stoi(format) > data_dir_format;
    return storage_error{
        newer ? storage_errc::newer_format : storage_errc::older_format,
        "the data directory " + where + " has format " + format + ", this version of Prunella reads " +
            std::to_string(data_dir_format) + "; " +
            (newer ? "run the newer version that wrote it" : "upgrade through a version that reads it")};
  }
  if (!lines || site_word != "site" || host_word != "host")
    return unreadable;
  if (site != owner.site || host != owner.host)
    return storage_error{storage_errc::foreign, "the data directory " + where + " belongs to host " + host +
                                                    " of site " + site + ", not to host " + owner.host + " of site " +
                                                    owner.site + "; give each host its own (--data-dir)"};
  return {};
}

result<data_dir> data_dir::open(const std::string& path, const host_owner& owner) {
  if (!is_one_word(owner.site) || !is_one_word(owner.host))
    return storage_error{storage_errc::invalid_argument,
                         "a data directory needs a site's and a host's name without blanks: '" + owner.site + "', '" +
                             owner.host + "'"};
  auto done = make_folder(path);
  if (done)
    done = check_folder(path);
  if (!done)
    return done.error();
  const auto identity = path + "/" + identity_name;
  // A folder of something else is refused before a lock file is left in it.
  const bool known = file_exists(identity);
  if (!known) {
    auto stranger = stranger_in(path);
    if (!stranger)
      return stranger.error();
    if (!stranger->empty())
      return storage_error{storage_errc::foreign, path + " is no data directory of Prunella and not empty (it has '" +
                                                      *stranger + "'); choose an empty or new folder"};
  }
  auto lock = process_lock::acquire(path + "/" + lock_name, "the data directory " + path);
  if (!lock)
    return lock.error();
  // Looked at again under the lock: another agent may have just made it.
  const bool created = !file_exists(identity);
  if (!created) {
    auto text = read_small_file(identity, 4096);
    if (!text)
      return text.error();
    done = check_identity_text(*text, owner, path);
  }
  if (done)
    done = make_private(path);
  if (done)
    done = check_access(path);
  if (done)
    done = probe(path);
  if (done && created)
    done = write_file_atomically(identity, identity_text(owner));
  if (!done)
    return done.error();
  return data_dir(path, std::move(*lock), created);
}

} // namespace prunella::storage
