#pragma once

// Requests out of the bytes of a connection, and answers as messages, without I/O or clock. Private to net/: Beast is in
// here.

#include <utility>

#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "net/http_server.hpp"

namespace prunella::net {

/// Reads one request; a connection makes a new one for each.
class http_reader {
public:
  enum class result {
    more,    ///< feed more bytes
    header,  ///< the header is good; a body follows, perhaps after `wants_continue`
    request, ///< complete: `take_request()`
    refused, ///< `problem()` is the answer; where the next request would start is not known, or not trusted
  };

  /// `options` must outlive this.
  explicit http_reader(const http_server_options& options);

  /// Takes what `buffer` holds, as far as it goes. After `refused` not again.
  result next(boost::beast::flat_buffer& buffer);

  /// Some of a request has arrived.
  bool has_begun() const { return parser_.got_some(); }
  /// The answer to a client that ends its side within a request.
  http_problem cut_off() const;

  bool wants_continue() const;
  bool keep_alive() const { return keep_alive_; }
  unsigned version() const { return version_; } ///< 10, 11
  const http_problem& problem() const { return problem_; }
  http_request take_request() { return std::move(request_); }

private:
  result refuse(http_problem problem);
  result on_unreadable(const boost::beast::error_code& error, const boost::beast::flat_buffer& buffer);
  /// False: refused.
  bool take_head();

  const http_server_options& options_;
  boost::beast::http::request_parser<boost::beast::http::string_body> parser_;
  http_request request_;
  http_problem problem_;
  unsigned version_ = 11;
  bool keep_alive_ = false;
};

using http_message = boost::beast::http::response<boost::beast::http::string_body>;

/// `response` with the headers that the server adds.
http_message to_message(http_response response, unsigned version, bool keep_alive);

} // namespace prunella::net
