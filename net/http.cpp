#include "net/http.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include <boost/beast/http/status.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace prunella::net {

namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

} // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view http_request::header(std::string_view name) const {
  for (const auto& header : headers)
    if (equal_ignoring_case(header.name, name))
      return header.value;
  return {};
}

std::string_view http_reason(unsigned status) {
  const auto phrase = boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(status));
  if (phrase.empty() || phrase == "<unknown-status>")
    return "Unknown Status";
  return {phrase.data(), phrase.size()};
}

http_response to_response(const http_problem& problem) {
  boost::json::object document;
  document["title"] = http_reason(problem.status);
  document["status"] = problem.status;
  document["detail"] = problem.detail;
  document["cause"] = problem.cause;
  document["fix"] = problem.fix;
  document["errors"] = boost::json::array(problem.errors.begin(), problem.errors.end());
  http_response response{problem.status, "application/problem+json", boost::json::serialize(document), {}};
  if (problem.status == 401)
    response.headers.push_back({"WWW-Authenticate", "Bearer"}); // RFC 9110, 15.5.2
  return response;
}

struct http_responder::slot {
  explicit slot(deliver_function f) : deliver(std::move(f)) {}
  slot(const slot&) = delete;
  slot& operator=(const slot&) = delete;

  ~slot() {
    try {
      answer(to_response({500,
                          "the request was dropped without an answer",
                          "the part of the agent that handled it stopped or has a defect",
                          "try again; if it happens twice, `prunella get events` shows what restarted",
                          {}}));
    } catch (...) {
      // Out of memory while reporting: the deadline of the server answers instead.
    }
  }

  bool answer(http_response response) {
    if (answered.exchange(true))
      return false;
    // Moved out, so that what the function holds is freed with the answer, not with the last copy of the responder.
    const auto take = std::exchange(deliver, nullptr);
    take(std::move(response));
    return true;
  }

  deliver_function deliver;
  std::atomic<bool> answered{false};
};

http_responder::http_responder(deliver_function deliver) : slot_(std::make_shared<slot>(std::move(deliver))) {
}

bool http_responder::operator()(http_response response) const {
  return slot_->answer(std::move(response));
}

} // namespace prunella::net
