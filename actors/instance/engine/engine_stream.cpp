#include "actors/instance/engine/engine_stream.hpp"

#include <algorithm>
#include <chrono>

#include "config/time.hpp"

namespace prunella::actors {

namespace {

constexpr std::size_t head_size = 8;
constexpr std::size_t time_size = std::string_view{"2026-11-21T17:59:24"}.size();
constexpr std::size_t fraction_digits = 9;

} // namespace

std::vector<stream_piece> stream_demultiplexer::take(std::string_view bytes) {
  std::vector<stream_piece> pieces;
  if (is_broken_)
    return pieces;
  waiting_.append(bytes);
  std::size_t at = 0;
  while (waiting_.size() - at >= head_size) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(waiting_[at + i]); };
    const auto size = (std::size_t{byte(4)} << 24) | (std::size_t{byte(5)} << 16) | (std::size_t{byte(6)} << 8) | byte(7);
    if (byte(0) > 2 || byte(1) != 0 || byte(2) != 0 || byte(3) != 0 || size > max_piece) {
      is_broken_ = true;
      waiting_.clear();
      return pieces;
    }
    if (waiting_.size() - at - head_size < size)
      break;
    pieces.push_back({byte(0) == 2, waiting_.substr(at + head_size, size)});
    at += head_size + size;
  }
  waiting_.erase(0, at);
  return pieces;
}

std::string log_time(std::string_view line) {
  const auto word = line.substr(0, line.find(' '));
  const bool is_zulu = !word.empty() && word.back() == 'Z';
  const bool is_utc = word.size() > 6 && word.substr(word.size() - 6) == "+00:00";
  const auto text = std::string{is_utc ? word.substr(0, word.size() - 6) : is_zulu ? word.substr(0, word.size() - 1) : word.substr(0, 0)};
  if (text.size() < time_size || !config::parse_time(text + "Z"))
    return {};
  auto fraction = text.size() > time_size ? text.substr(time_size + 1) : std::string{};
  fraction.resize(fraction_digits, '0');
  return text.substr(0, time_size) + "." + fraction + "Z";
}

std::string since_text(std::string_view time) {
  const auto parsed = config::parse_time(std::string{time});
  if (!parsed || time.size() != time_size + 1 + fraction_digits + 1)
    return {};
  const auto seconds = std::chrono::floor<std::chrono::seconds>(parsed->time_since_epoch()).count();
  return std::to_string(seconds) + "." + std::string{time.substr(time_size + 1, fraction_digits)};
}

std::string log_lines(const stream_piece& piece, std::string_view after) {
  const auto time = log_time(piece.text);
  if (time.empty() || time <= after)
    return {};
  std::string lines;
  std::string_view rest = std::string_view{piece.text}.substr(std::min(piece.text.find(' ') + 1, piece.text.size()));
  do {
    const auto end = rest.find('\n');
    lines += time;
    lines += piece.is_error ? " stderr " : " stdout ";
    lines += end == std::string_view::npos ? "P " : "F ";
    lines += rest.substr(0, end);
    lines += '\n';
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  } while (!rest.empty());
  return lines;
}

} // namespace prunella::actors
