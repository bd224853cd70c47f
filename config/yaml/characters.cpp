#include "config/yaml/characters.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace prunella::config::yaml {

namespace {

/// Bytes of the UTF-8 sequence that starts `text`; 0 when none does (RFC 3629, section 4).
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto within = [&](std::size_t i, unsigned low, unsigned high) { return byte(i) >= low && byte(i) <= high; };
  const auto tail = [&](std::size_t i) { return within(i, 0x80, 0xBF); };
  const unsigned first = byte(0);
  if (first < 0x80)
    return 1;
  if (within(0, 0xC2, 0xDF))
    return tail(1) ? 2 : 0;
  if (within(0, 0xE0, 0xEF)) {
    const bool second = within(1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF);
    return second && tail(2) ? 3 : 0;
  }
  if (within(0, 0xF0, 0xF4)) {
    const bool second = within(1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF);
    return second && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7F;
}

std::string hex(char c) {
  std::array<char, 8> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
  return buffer.data();
}

position position_of(std::string_view text, std::size_t offset) {
  const auto before = text.substr(0, offset);
  const auto line_end = before.rfind('\n');
  const auto line = line_end == std::string_view::npos ? before : before.substr(line_end + 1);
  return {static_cast<std::uint32_t>(std::count(before.begin(), before.end(), '\n') + 1),
          static_cast<std::uint32_t>(count_characters(line) + 1)};
}

} // namespace

std::string with_replacements(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const auto length = sequence_length(text);
    clean.append(length == 0 ? std::string_view{"\xEF\xBF\xBD"} : text.substr(0, length));
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return clean;
}

std::optional<problem> find_bad_character(std::string_view text) {
  if (const auto start = text.substr(0, 2); start == "\xFF\xFE" || start == "\xFE\xFF")
    return problem{{}, {1, 1}, {}, "the file is UTF-16", "save it as UTF-8"};
  for (std::size_t i = 0; i < text.size();) {
    // DEL is no YAML, but JSON has it plain.
    if (is_control(text[i]) && text[i] != '\x7F')
      return problem{{},
                     position_of(text, i),
                     {},
                     "the control character 0x" + hex(text[i]) + " stands in the text",
                     "remove it; is this a text file?"};
    const std::size_t length = sequence_length(text.substr(i, 4));
    if (length == 0)
      return problem{{},
                     position_of(text, i),
                     {},
                     "the byte 0x" + hex(text[i]) + " is not UTF-8",
                     "save the file as UTF-8; is this a text file?"};
    i += length;
  }
  return std::nullopt;
}

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string quoted(std::string_view text) {
  constexpr std::size_t shown = 60;
  std::string out = "\"";
  std::size_t end = std::min(text.size(), shown);
  // No sequence is cut in two.
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
    --end;
  for (char c : text.substr(0, end)) {
    if (c == '\n')
      out += "\\n";
    else if (is_control(c) || c == '\t' || c == '\r')
      out += "\\x" + hex(c);
    else
      out += c;
  }
  return out + (end < text.size() ? "...\"" : "\"");
}

} // namespace prunella::config::yaml
