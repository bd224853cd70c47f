#include "config/json.hpp"

#include <algorithm>

#include <boost/json/serialize.hpp>
#include <boost/json/stream_parser.hpp>

namespace prunella::config {

namespace json = boost::json;

namespace {

/// Longer texts are cut in errors, so that a bad document does not become its own error page.
constexpr std::size_t shown_text = 60;

std::string position_text(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const auto line_start = before.rfind('\n');
  const auto column = before.size() - (line_start == std::string_view::npos ? 0 : line_start + 1) + 1;
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

void write_pretty(const json::value& value, std::size_t indent, std::string& out);

/// `write(element, out)` for each of `elements`, one per line between `open` and `close`.
template <class Container, class Write>
void write_lines(const Container& elements, char open, char close, std::size_t indent, std::string& out,
                 Write&& write) {
  out += open;
  bool first = true;
  for (const auto& element : elements) {
    out += first ? "\n" : ",\n";
    first = false;
    out.append(indent + 2, ' ');
    write(element);
  }
  if (!first) {
    out += '\n';
    out.append(indent, ' ');
  }
  out += close;
}

void write_pretty(const json::value& value, std::size_t indent, std::string& out) {
  if (value.is_object())
    return write_lines(value.get_object(), '{', '}', indent, out, [&](const json::key_value_pair& member) {
      out += json::serialize(json::string_view(member.key())) + ": ";
      write_pretty(member.value(), indent + 2, out);
    });
  if (value.is_array())
    return write_lines(value.get_array(), '[', ']', indent, out,
                       [&](const json::value& element) { write_pretty(element, indent + 2, out); });
  out += json::serialize(value);
}

} // namespace

parsed_json parse_json(std::string_view text) {
  json::stream_parser parser;
  json::error_code error;
  std::size_t used = parser.write_some(text.data(), text.size(), error);
  // The parser stops behind the first complete value; only blanks may follow it.
  const std::size_t rest = text.find_first_not_of(" \t\r\n", used);
  if (!error && rest != std::string_view::npos) {
    used = rest;
    error = json::error::extra_data;
  }
  if (!error)
    parser.finish(error);
  if (error)
    return {nullptr, position_text(text, used) + ": " + error.message()};
  return {parser.release(), {}};
}

std::string json_text(const json::value& value) {
  return json::serialize(value);
}

std::string pretty_json(const json::value& value) {
  std::string out;
  write_pretty(value, 0, out);
  out += '\n';
  return out;
}

std::string describe(const json::value& value) {
  switch (value.kind()) {
  case json::kind::string: {
    const std::string text(value.get_string().data(), value.get_string().size());
    return "the text " + json::serialize(text.size() > shown_text ? text.substr(0, shown_text) + "..." : text);
  }
  case json::kind::array:
    return "a list";
  case json::kind::object:
    return "an object";
  case json::kind::bool_:
  case json::kind::null:
    return json::serialize(value);
  default:
    return "the number " + json::serialize(value);
  }
}

namespace json_detail {

void add_mismatch(const std::string& path, std::string_view expected, const json::value& found,
                  std::vector<std::string>& problems) {
  std::string text = path.empty() ? std::string{} : path + ": ";
  problems.push_back(text.append("expected ").append(expected).append(", found ").append(describe(found)));
}

std::string member_path(const std::string& path, std::string_view name) {
  return (path.empty() ? std::string{} : path + '.').append(name);
}

bool read_signed(const json::value& value, std::int64_t min, std::int64_t max, std::int64_t& out) {
  json::error_code error;
  const auto number = value.to_number<std::int64_t>(error);
  if (error || number < min || number > max)
    return false;
  out = number;
  return true;
}

bool read_unsigned(const json::value& value, std::uint64_t max, std::uint64_t& out) {
  json::error_code error;
  const auto number = value.to_number<std::uint64_t>(error);
  if (error || number > max)
    return false;
  out = number;
  return true;
}

std::string choices(const std::string_view* texts, std::size_t count) {
  std::string text = "one of ";
  for (std::size_t i = 0; i < count; ++i)
    text.append(i == 0 ? "" : ", ").append(texts[i]);
  return text;
}

} // namespace json_detail

} // namespace prunella::config
