#include "config/yaml/writer.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include <yaml-cpp/emitter.h>
#include <yaml-cpp/emittermanip.h>

#include "config/json.hpp"

namespace prunella::config {

namespace {

bool is_reserved_word(std::string text) {
  // YAML 1.1 core types: other readers than ours still take these for booleans and null.
  static constexpr std::array<std::string_view, 10> words{"true", "false", "yes", "no",   "on",
                                                          "off",  "y",     "n",   "null", "~"};
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::find(words.begin(), words.end(), text) != words.end();
}

/// Whether a reader might take plain `text` for a number, a time, a boolean or null.
bool needs_quotes(const std::string& text) {
  if (text.empty() || is_reserved_word(text))
    return true;
  const char first = text.front();
  const bool unit_follows =
      std::isalpha(static_cast<unsigned char>(text.back())) != 0 && text.find_first_of("eExXoO_:") == std::string::npos;
  return (std::isdigit(static_cast<unsigned char>(first)) != 0 && !unit_follows) || first == '.' || first == '+' ||
         first == '-' || first == '=' || first == '<';
}

bool has_control(const std::string& text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

void write_text(const std::string& text, YAML::Emitter& out) {
  if (has_control(text) || needs_quotes(text))
    out << YAML::DoubleQuoted;
  out << text;
}

void write(const boost::json::value& value, YAML::Emitter& out) {
  if (value.is_object()) {
    if (value.get_object().empty())
      out << YAML::Flow;
    out << YAML::BeginMap;
    for (const auto& member : value.get_object()) {
      out << YAML::Key;
      write_text(std::string(member.key()), out);
      out << YAML::Value;
      write(member.value(), out);
    }
    out << YAML::EndMap;
  } else if (value.is_array()) {
    if (value.get_array().empty())
      out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const auto& element : value.get_array())
      write(element, out);
    out << YAML::EndSeq;
  } else if (value.is_string()) {
    write_text(std::string(value.get_string().data(), value.get_string().size()), out);
  } else if (value.is_null()) {
    out << YAML::Null;
  } else {
    // true, false and numbers are the same in both.
    out << json_text(value);
  }
}

} // namespace

std::string to_yaml(const boost::json::value& value) {
  YAML::Emitter out;
  write(value, out);
  return std::string(out.c_str(), out.size()) + "\n";
}

} // namespace prunella::config
