#pragma once

// How long and from which seed a test with random victims goes.

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace prunella::tests {

/// The value of environment variable `name` if it is set to a number, else `otherwise`.
int number_from_environment(const char* name, int otherwise);

/// Draws victims. Prints the seed and how to replay it; `PRUNELLA_FAULT_SEED` sets it.
class fault_plan {
public:
  fault_plan();

  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>{0, bound - 1}(random_); }
  const std::string& one_of(const std::vector<std::string>& all) { return all[below(all.size())]; }

private:
  std::mt19937_64 random_;
};

} // namespace prunella::tests
