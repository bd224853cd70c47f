#include "tests/cluster/fault_plan.hpp"

#include <cstdlib>

#include <doctest/doctest.h>

namespace prunella::tests {

int number_from_environment(const char* name, int otherwise) {
  const auto* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

fault_plan::fault_plan() {
  const auto seed = number_from_environment("PRUNELLA_FAULT_SEED", static_cast<int>(std::random_device{}() % 1'000'000));
  MESSAGE("victims are drawn from PRUNELLA_FAULT_SEED=" << seed);
  random_.seed(static_cast<std::uint64_t>(seed));
}

} // namespace prunella::tests
