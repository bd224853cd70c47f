#include "tools/cli/api_token.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <stdexcept>

namespace prunella::tools {

namespace {

constexpr std::size_t token_size = 64;

[[noreturn]] void give_up(const std::string& path, const std::string& why) {
  throw std::runtime_error("the secret of the API cannot be kept in " + path + ": " + why);
}

bool is_token(const std::string& text) {
  return text.size() == token_size && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string draw_token() {
  std::array<unsigned char, token_size / 2> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw std::runtime_error("the kernel gives no random numbers for the secret of the API");
  std::string text;
  for (const auto byte : bytes)
    text.append({"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]});
  return text;
}

/// Nothing: there is no such file, or it cannot be read. `nobody_else` tells whether only its owner, who is this user, can read it.
std::optional<std::string> read_token(const std::string& path, bool& nobody_else) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0)
    return std::nullopt;
  struct stat status {};
  nobody_else = ::fstat(file, &status) == 0 && status.st_uid == ::geteuid() && (status.st_mode & 077) == 0;
  std::array<char, token_size> text{};
  const auto size = ::read(file, text.data(), text.size());
  ::close(file);
  return std::string{text.data(), size < 0 ? 0 : static_cast<std::size_t>(size)};
}

/// Whole or not at all; the one that another agent made meanwhile stays.
void write_token(const std::string& path) {
  const auto fresh = path + '.' + std::to_string(::getpid());
  const auto token = draw_token();
  const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  const bool written = file >= 0 && ::write(file, token.data(), token.size()) == static_cast<ssize_t>(token.size());
  const bool linked = written && (::link(fresh.c_str(), path.c_str()) == 0 || errno == EEXIST);
  const auto why = linked ? std::string{} : std::string{std::strerror(errno)};
  if (file >= 0)
    ::close(file);
  ::unlink(fresh.c_str());
  if (!linked)
    give_up(path, why);
}

} // namespace

std::string api_token_path() {
  if (::geteuid() == 0)
    return "/run/prunella/api-token";
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  if (state != nullptr && *state == '/')
    return std::string{state} + "/prunella/api-token";
  if (home != nullptr && *home == '/')
    return std::string{home} + "/.local/state/prunella/api-token";
  return "/tmp/prunella-" + std::to_string(::geteuid()) + "/api-token";
}

std::string make_api_token(const std::string& path) {
  std::error_code unmade; // which the file says, too
  std::filesystem::create_directories(std::filesystem::path{path}.parent_path(), unmade);
  bool nobody_else = false;
  auto token = read_token(path, nobody_else);
  if (!token) {
    write_token(path);
    token = read_token(path, nobody_else);
  }
  if (!token)
    give_up(path, std::strerror(errno));
  if (!is_token(*token) || !nobody_else)
    give_up(path, "what is there is no such secret, or is not this user's alone; remove it, and the next agent makes a new one");
  return *token;
}

std::string find_api_token(const std::string& path) {
  if (const char* given = std::getenv("PRUNELLA_TOKEN"); given != nullptr && *given != '\0')
    return given;
  bool nobody_else = false;
  auto token = read_token(path, nobody_else);
  return token && is_token(*token) ? *token : std::string{};
}

} // namespace prunella::tools
