#pragma once

// The standard input of a container that was ordered with one (`container_order::has_input`), written by who ordered it, on
// the container's host. A plain process reads the named pipe FOLDER/input, an image's container what comes through its
// conmon (its attach socket, FOLDER/run/ID/attach). Either way the input is at its end when the writer closes it or is gone.

#include <cstddef>
#include <string>
#include <string_view>

#include "actors/instance/unique_fd.hpp"

namespace prunella::actors {

std::string container_input_path(const std::string& folder);

class container_input {
public:
  /// `folder`: the container's. Makes it, and the pipe, which has to be there before the container is started.
  explicit container_input(std::string folder);

  /// How many of `bytes` it took: fewer than all, or none, while the container does not read; none before it was started.
  /// All when nobody reads any more: they are dropped.
  std::size_t write(std::string_view bytes);
  /// It is at its end behind what was written.
  void close();
  /// To be called again and again until the container has ended: conmon sends what it prints to who is attached too, waits for
  /// that to be taken, and forgets to end the input of a container whose output nobody takes any more.
  void drain();

private:
  bool attach();

  const std::string folder_;
  unique_fd pipe_;
  unique_fd socket_;
};

} // namespace prunella::actors
