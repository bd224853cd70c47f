#include "tests/storage/images/fake_registry.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

namespace prunella::tests {

namespace {

void send_all(int connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0)
      return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::string head(const std::string& status, const std::string& type, std::size_t bytes) {
  return "HTTP/1.1 " + status + "\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(bytes) + "\r\nConnection: close\r\n\r\n";
}

} // namespace

fake_registry::fake_registry() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(at);
  auto* address = reinterpret_cast<sockaddr*>(&at);
  if (listener_ < 0 || ::bind(listener_, address, size) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, address, &size) != 0)
    throw std::runtime_error("cannot listen on loopback");
  address_ = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  acceptor_ = std::thread([this] { serve(); });
}

fake_registry::~fake_registry() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    for (const int connection : connections_)
      ::shutdown(connection, SHUT_RDWR);
  }
  acceptor_.join();
  for (auto& worker : workers_)
    worker.join();
  ::close(listener_);
}

void fake_registry::add_manifest(const std::string& name, const std::string& tag, const std::string& bytes,
                                 const std::string& type) {
  const std::lock_guard lock(mutex_);
  for (const auto& reference : {tag, storage::digest_of(bytes).text()})
    contents_["/v2/" + name + "/manifests/" + reference] = {bytes, type, behaviour::answers};
}

void fake_registry::add(const test_image& image, const std::string& name, const std::string& tag) {
  add_manifest(name, tag, image.manifest(), "application/vnd.oci.image.manifest.v1+json");
  const std::lock_guard lock(mutex_);
  auto blobs = image.layers;
  blobs.push_back(image.config());
  for (const auto& blob : blobs)
    contents_["/v2/" + name + "/blobs/" + storage::digest_of(blob).text()] = {blob, "application/octet-stream",
                                                                              behaviour::answers};
}

void fake_registry::treat(const std::string& blob, behaviour how) {
  const std::lock_guard lock(mutex_);
  const auto name = storage::digest_of(blob).text();
  for (auto& [path, served] : contents_)
    if (path.find(name) != std::string::npos)
      served.how = how;
}

std::vector<std::string> fake_registry::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void fake_registry::serve() {
  for (;;) {
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (stopping_ || connection < 0) {
      if (connection >= 0)
        ::close(connection);
      return;
    }
    connections_.insert(connection);
    workers_.emplace_back([this, connection] { answer(connection); });
  }
}

std::string fake_registry::response(const std::string& path, behaviour& then) {
  if (path == "/v2/")
    return head("200 OK", "application/json", 2) + "{}";
  const auto found = contents_.find(path);
  if (found == contents_.end()) {
    const std::string body = R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})";
    return head("404 Not Found", "application/json", body.size()) + body;
  }
  const auto& [bytes, type, how] = found->second;
  const auto good = head("200 OK", type, bytes.size());
  switch (how) {
  case behaviour::stalls:
    then = how;
    return good + bytes.substr(0, bytes.size() / 2);
  case behaviour::cuts:
    return good + bytes.substr(0, bytes.size() / 2);
  case behaviour::lies:
    return good + std::string(bytes.size(), 'x');
  case behaviour::refuses:
    return head("401 Unauthorized", "application/json", 0);
  case behaviour::floods:
    then = how;
    return head("200 OK", type, std::size_t{1} << 40);
  case behaviour::answers:
    break;
  }
  return good + bytes;
}

void fake_registry::answer(int connection) {
  std::string request;
  char buffer[4096];
  while (request.find("\r\n\r\n") == std::string::npos && request.size() < 64 * 1024) {
    const auto got = ::recv(connection, buffer, sizeof(buffer), 0);
    if (got <= 0)
      break;
    request.append(buffer, static_cast<std::size_t>(got));
    if (request.front() == '\x16')
      break; // someone tries TLS first: the connection ends, as at any server that does not speak it
  }
  const auto space = request.find(' ');
  if (request.compare(0, 1, "\x16") != 0 && space != std::string::npos) {
    const auto path = request.substr(space + 1, request.find(' ', space + 1) - space - 1);
    auto then = behaviour::answers;
    std::string reply;
    {
      const std::lock_guard lock(mutex_);
      reply = response(path, then);
      if (request.compare(0, 4, "GET ") == 0)
        requests_.push_back(path);
      else
        reply.resize(reply.find("\r\n\r\n") + 4);
    }
    send_all(connection, reply);
    // Until the other side gives up, or the test ends.
    if (then == behaviour::stalls)
      ::recv(connection, buffer, sizeof(buffer), 0);
    while (then == behaviour::floods && ::send(connection, buffer, sizeof(buffer), MSG_NOSIGNAL) > 0) {
    }
  }
  const std::lock_guard lock(mutex_);
  connections_.erase(connection);
  ::close(connection);
}

} // namespace prunella::tests
