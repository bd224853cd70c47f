#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace prunella::config {

/// The candidate that `word` most likely meant; empty when none is near. Near: at most a third of its letters (at least
/// one, at most three) inserted, dropped, changed or swapped with their neighbour (optimal string alignment distance),
/// or the only candidate that starts with `word` (three letters or more). Case is ignored and `_` equals `-`. Of
/// equally near ones the first wins.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

} // namespace prunella::config
