#include "net/link_lookup.hpp"

#include <array>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include <netdb.h>

namespace prunella::net {

std::vector<std::string> look_up_host(const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(name == "localhost" ? "127.0.0.1" : name.c_str(), nullptr, &hints, &found);
  if (failed != 0)
    throw std::runtime_error("the name " + name + " cannot be looked up: " +
                             (failed == EAI_SYSTEM ? std::generic_category().message(errno) : gai_strerror(failed)) +
                             "; use a numeric address, or a name that this machine's resolver knows");
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> guard{found, freeaddrinfo};
  std::vector<std::string> result;
  for (const auto* it = found; it != nullptr; it = it->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (getnameinfo(it->ai_addr, it->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0)
      result.emplace_back(text.data());
  }
  if (result.empty())
    throw std::runtime_error("the name " + name + " has no address that this machine can use");
  return result;
}

link_lookup::link_lookup(std::string address, function look_up, std::function<void()> done)
    : result_(std::make_shared<result>()) {
  result_->address = std::move(address);
  try {
    std::thread([into = result_, look_up = std::move(look_up), done = std::move(done)] {
      run(*into, look_up);
      into->is_done.store(true, std::memory_order_release);
      done();
    }).detach();
  } catch (const std::system_error& error) {
    result_->problem = std::string("no thread to look the name up: ") + error.what();
    result_->is_done.store(true, std::memory_order_release);
  }
}

void link_lookup::run(result& into, const function& look_up) {
  std::string name;
  std::uint16_t port = 0;
  if (!split_address(into.address, name, port)) {
    into.problem = "it is not written as NAME:PORT";
    return;
  }
  try {
    for (const auto& text : look_up(name)) {
      socket_address found;
      if (parse_socket_address(join_address(text, port), found, into.problem))
        into.found.push_back(found);
    }
    if (!into.found.empty())
      into.problem.clear();
    else if (into.problem.empty())
      into.problem = "the name " + name + " has no address";
  } catch (const std::exception& error) {
    into.problem = error.what();
  }
}

} // namespace prunella::net
