#include "config/did_you_mean.hpp"

#include <algorithm>
#include <cctype>

namespace prunella::config {

namespace {

/// Nobody mistypes longer words by three letters; bounds the quadratic comparison.
constexpr std::size_t longest_word = 64;

std::string folded(std::string_view word) {
  std::string out(word);
  for (char& c : out)
    c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

/// Optimal string alignment distance of two folded words.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

} // namespace

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.empty() || word.size() > longest_word)
    return {};
  const std::string wanted = folded(word);
  const std::size_t allowed = std::clamp<std::size_t>(wanted.size() / 3, 1, 3);
  std::size_t nearest = allowed + 1;
  std::string best;
  std::size_t prefixed = 0;
  std::string prefix_match;
  for (const auto& candidate : candidates) {
    if (candidate.size() > longest_word)
      continue;
    const std::string other = folded(candidate);
    if (wanted.size() >= 3 && other.compare(0, wanted.size(), wanted) == 0 && ++prefixed == 1)
      prefix_match = candidate;
    // A word is not near to one that it would have to be replaced by altogether.
    if (const std::size_t d = distance(wanted, other); d < nearest && d < other.size()) {
      nearest = d;
      best = candidate;
    }
  }
  return best.empty() && prefixed == 1 ? prefix_match : best;
}

} // namespace prunella::config
