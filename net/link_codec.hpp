#pragma once

// Messages as bytes. A payload is
//
//   u8 count | count x (u8 length, type name) | values as CAF's binary_serializer writes them
//
// so that the receiver checks the types against its allow-list before it touches a value. The reader is our own: CAF's
// trusts lengths (it resizes containers first and its range check can overflow), and these bytes come from another host.

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <caf/fwd.hpp>

#include "net/link_errors.hpp"
#include "net/link_frame.hpp"

namespace prunella::net {

inline constexpr std::size_t max_message_values = 16;

/// Appends `content`; an error (`type_not_allowed`) if a type is not announced in `system`. `out` is unspecified then.
caf::error encode_message(caf::actor_system& system, const caf::type_erased_tuple& content, byte_buffer& out);

/// Says whether a type name may come in.
using type_filter = std::function<bool(std::string_view)>;

/// Reads exactly one message. `type_not_allowed` if `allowed` refuses a type or it is not announced; `malformed` if the bytes
/// are not values of those types, or too many, or too few. Catches what values throw while they are read.
caf::error decode_message(caf::actor_system& system, std::string_view payload, const type_filter& allowed,
                          caf::message& out);

/// An error as category, code and sentence; the sentence is cut to fit a control frame.
void encode_error(const caf::error& reason, byte_buffer& out);
caf::error decode_error(std::string_view payload);

} // namespace prunella::net
