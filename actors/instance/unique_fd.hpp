#pragma once

// Owner of one file descriptor: that of storage, by its bare name.

#include "storage/unique_fd.hpp"

namespace prunella::actors {

using storage::unique_fd;

} // namespace prunella::actors
