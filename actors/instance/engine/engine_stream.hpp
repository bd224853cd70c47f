#pragma once

// What containers and commands print, as the engine sends it: pieces of two streams in one connection, each behind a head of
// eight bytes (stream, three zeros, length), and lines of logs with their times in front. Pure.
// https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace prunella::actors {

struct stream_piece {
  bool is_error = false; ///< of standard error
  std::string text;
};

class stream_demultiplexer {
public:
  /// A longer piece is no piece: Docker sends 32 KiB at most, and lines of logs up to 1 MiB.
  static constexpr std::size_t max_piece = 2u << 20;

  /// The pieces that `bytes` completes, in their order.
  std::vector<stream_piece> take(std::string_view bytes);

  /// What came is no such stream; nothing is taken any more.
  bool is_broken() const { return is_broken_; }
  /// Nothing of a piece is waiting for its rest.
  bool is_whole() const { return waiting_.empty(); }

private:
  std::string waiting_;
  bool is_broken_ = false;
};

/// Lines of a log (`../container_log.hpp`, each with its newline) out of one piece that the engine has put a time in front of:
/// `2026-11-21T17:59:24.075213707Z text`. Those not later than `after` (a time as in `log_time`; empty: all) are left out.
/// Pieces without a time are, too.
std::string log_lines(const stream_piece& piece, std::string_view after);

/// The time in front of a log's line as a text of fixed length in UTC, so that a later one is a greater text; empty if there
/// is none.
std::string log_time(std::string_view line);

/// `log_time` as engines take it for `since`: Unix time with nine digits behind the point.
std::string since_text(std::string_view time);

} // namespace prunella::actors
