#include "net/http_message.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>

#include "net/http_guard.hpp"

namespace prunella::net {

namespace beast = boost::beast;
namespace http = boost::beast::http;

namespace {

http_problem target_problem(const http_server_options& options) {
  return {414,
          "the request's target is too long",
          "more than " + std::to_string(options.max_target_bytes) + " bytes",
          "send a shorter path and query; what is long belongs into the body",
          {}};
}

/// The answer to a message that could not be read.
http_problem problem_of(const beast::error_code& error, const http_server_options& options) {
  if (error == http::error::header_limit)
    return http_problem{431,
                        "the request's header is too large",
                        "more than " + std::to_string(options.max_header_bytes) + " bytes",
                        "send fewer or shorter header fields",
                        {}};
  if (error == http::error::body_limit)
    return http_problem{413,
                        "the request's body is too large",
                        "more than " + std::to_string(options.max_body_bytes) + " bytes",
                        "send a smaller document, or several one after the other",
                        {}};
  return http_problem{400,
                      "the request is not HTTP/1.1",
                      error.message(),
                      "check what sends it: the first line must be `METHOD /path HTTP/1.1`",
                      {}};
}

std::string without_control_characters(std::string text) {
  for (auto& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      c = ' ';
  return text;
}

} // namespace

http_reader::http_reader(const http_server_options& options) : options_(options) {
  parser_.header_limit(static_cast<std::uint32_t>(options_.max_header_bytes));
  parser_.body_limit(options_.max_body_bytes);
}

http_reader::result http_reader::next(beast::flat_buffer& buffer) {
  while (!parser_.is_done()) {
    if (buffer.size() == 0)
      return result::more;
    const bool had_header = parser_.is_header_done();
    beast::error_code error;
    buffer.consume(parser_.put(buffer.data(), error));
    if (error == http::error::need_more)
      return buffer.size() < buffer.max_size() ? result::more : on_unreadable(http::error::header_limit, buffer);
    if (error)
      return on_unreadable(error, buffer);
    if (!had_header && parser_.is_header_done()) {
      if (!take_head())
        return result::refused;
      if (!parser_.is_done())
        return result::header;
    }
  }
  request_.body = std::move(parser_.get().body());
  return result::request;
}

bool http_reader::take_head() {
  const auto& head = parser_.get();
  keep_alive_ = head.keep_alive();
  version_ = head.version();
  if (head.target().size() > options_.max_target_bytes)
    return refuse(target_problem(options_)), false;
  request_.method = head.method_string();
  request_.target = head.target();
  for (const auto& field : head)
    request_.headers.push_back({std::string(field.name_string()), std::string(field.value())});
  if (auto problem = check_origin(request_, options_.more_host_names))
    return refuse(std::move(*problem)), false;
  if (auto problem = check_token(request_, options_.token, options_.open_paths))
    return refuse(std::move(*problem)), false;
  return true;
}

bool http_reader::wants_continue() const {
  return beast::iequals(parser_.get()[http::field::expect], "100-continue");
}

http_problem http_reader::cut_off() const {
  return problem_of(http::error::partial_message, options_);
}

http_reader::result http_reader::refuse(http_problem problem) {
  problem_ = std::move(problem);
  return result::refused;
}

http_reader::result http_reader::on_unreadable(const beast::error_code& error, const beast::flat_buffer& buffer) {
  const auto data = buffer.data();
  const std::string_view text(static_cast<const char*>(data.data()), data.size());
  if (error == http::error::header_limit && text.find("\r\n") == std::string_view::npos)
    return refuse(target_problem(options_)); // the first line alone is that long
  return refuse(problem_of(error, options_));
}

http_message to_message(http_response response, unsigned version, bool keep_alive) {
  http_message message;
  message.version(version);
  message.result(response.status);
  if (!response.content_type.empty())
    message.set(http::field::content_type, without_control_characters(std::move(response.content_type)));
  message.set(http::field::cache_control, "no-store");
  message.set("X-Content-Type-Options", "nosniff");
  for (auto& header : response.headers)
    message.set(header.name, without_control_characters(std::move(header.value)));
  if (response.status != 204 && response.status != 304)
    message.body() = std::move(response.body);
  message.keep_alive(keep_alive);
  message.prepare_payload();
  return message;
}

} // namespace prunella::net
