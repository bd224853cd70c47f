#pragma once

#include <string>

#include <boost/json/value.hpp>

namespace prunella::config {

/// `value` as YAML, for `-o yaml`: keys in their order, texts quoted wherever a reader could take them for something
/// else. Ends with a newline. What `read_documents` reads back is what was written.
std::string to_yaml(const boost::json::value& value);

} // namespace prunella::config
