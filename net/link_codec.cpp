#include "net/link_codec.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <limits>
#include <type_traits>

#include <caf/actor_system.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/deserializer.hpp>
#include <caf/detail/dynamic_message_data.hpp>
#include <caf/detail/ieee_754.hpp>
#include <caf/make_counted.hpp>
#include <caf/message.hpp>
#include <caf/sec.hpp>
#include <caf/uniform_type_info_map.hpp>

namespace prunella::net {

namespace {

/// Reads what binary_serializer wrote, believing no length: no sequence is longer than the bytes that are left, and the
/// elements of all sequences together are bounded by the bytes of the message (so nesting cannot multiply them).
class bounded_reader final : public caf::deserializer {
public:
  bounded_reader(caf::actor_system& system, std::string_view bytes) : caf::deserializer(system), bytes_(bytes) {}

  std::size_t remaining() const { return bytes_.size(); }

  caf::error begin_object(std::uint16_t& type, std::string& name) override {
    if (auto failed = apply_impl(type))
      return failed;
    return type == 0 ? apply_impl(name) : caf::error{};
  }
  caf::error end_object() override { return caf::none; }

  caf::error begin_sequence(std::size_t& size) override {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      std::uint8_t low = 0;
      if (auto failed = apply_impl(low))
        return failed;
      value |= static_cast<std::uint64_t>(low & 0x7f) << shift;
      if ((low & 0x80) == 0)
        break;
      if (shift >= 28)
        return caf::sec::invalid_argument;
    }
    if (value > bytes_.size())
      return caf::sec::end_of_stream;
    size = static_cast<std::size_t>(value);
    return caf::none;
  }
  caf::error end_sequence() override { return caf::none; }

  caf::error apply_raw(std::size_t size, void* data) override {
    if (size > bytes_.size())
      return caf::sec::end_of_stream;
    std::memcpy(data, bytes_.data(), size);
    bytes_.remove_prefix(size);
    return caf::none;
  }

protected:
  caf::error apply_impl(std::int8_t& x) override { return apply_raw(1, &x); }
  caf::error apply_impl(std::uint8_t& x) override { return apply_raw(1, &x); }
  caf::error apply_impl(std::int16_t& x) override { return integer(x); }
  caf::error apply_impl(std::uint16_t& x) override { return integer(x); }
  caf::error apply_impl(std::int32_t& x) override { return integer(x); }
  caf::error apply_impl(std::uint32_t& x) override { return integer(x); }
  caf::error apply_impl(std::int64_t& x) override { return integer(x); }
  caf::error apply_impl(std::uint64_t& x) override { return integer(x); }

  caf::error apply_impl(float& x) override {
    std::uint32_t packed = 0;
    auto failed = integer(packed);
    x = caf::detail::unpack754(packed);
    return failed;
  }
  caf::error apply_impl(double& x) override {
    std::uint64_t packed = 0;
    auto failed = integer(packed);
    x = caf::detail::unpack754(packed);
    return failed;
  }
  // Its bytes differ between machines, so it does not cross.
  caf::error apply_impl(long double&) override { return caf::sec::invalid_argument; }

  caf::error apply_impl(std::string& x) override {
    std::size_t size = 0;
    if (auto failed = begin_sequence(size))
      return failed;
    x.assign(bytes_.data(), size);
    bytes_.remove_prefix(size);
    return caf::none;
  }
  caf::error apply_impl(std::u16string& x) override { return wide(x); }
  caf::error apply_impl(std::u32string& x) override { return wide(x); }

private:
  template <class Integer>
  caf::error integer(Integer& x) {
    unsigned char raw[sizeof(Integer)];
    if (auto failed = apply_raw(sizeof raw, raw))
      return failed;
    std::uint64_t value = 0;
    for (const auto byte : raw)
      value = value << 8 | byte;
    x = static_cast<Integer>(value);
    return caf::none;
  }

  template <class String>
  caf::error wide(String& x) {
    using raw_type = std::conditional_t<sizeof(typename String::value_type) == 2, std::uint16_t, std::uint32_t>;
    std::size_t size = 0;
    if (auto failed = begin_sequence(size))
      return failed;
    x.clear();
    for (std::size_t i = 0; i < size; ++i) {
      raw_type value = 0;
      if (auto failed = integer(value))
        return failed;
      x.push_back(static_cast<typename String::value_type>(value));
    }
    return caf::none;
  }

  std::string_view bytes_;
};

caf::error malformed(std::string text) {
  return caf::make_error(link_errc::malformed, std::move(text));
}

/// Cuts the type names off the front of `payload`. False if they are not all there.
bool take_type_names(std::string_view& payload, std::vector<std::string_view>& names) {
  if (payload.empty())
    return false;
  const auto count = static_cast<unsigned char>(payload.front());
  payload.remove_prefix(1);
  if (count > max_message_values)
    return false;
  for (unsigned i = 0; i < count; ++i) {
    if (payload.empty())
      return false;
    const auto size = static_cast<unsigned char>(payload.front());
    if (payload.size() < 1u + size)
      return false;
    names.push_back(payload.substr(1, size));
    payload.remove_prefix(1u + size);
  }
  return true;
}

caf::error read_values(caf::actor_system& system, const std::vector<std::string_view>& names, std::string_view bytes,
                       caf::message& out) {
  bounded_reader source(system, bytes);
  caf::detail::dynamic_message_data::elements values;
  values.reserve(names.size());
  for (const auto name : names) {
    auto value = system.types().make_value(std::string(name));
    if (!value)
      return caf::make_error(link_errc::type_not_allowed,
                             "message type '" + std::string(name) + "' is not announced on this host");
    if (auto failed = value->load(source))
      return malformed("the bytes are not a value of type '" + std::string(name) + "'");
    values.push_back(std::move(value));
  }
  if (source.remaining() != 0)
    return malformed("there are " + std::to_string(source.remaining()) + " bytes behind the message's values");
  auto data = caf::make_counted<caf::detail::dynamic_message_data>(std::move(values));
  out.reset(data.release(), false);
  return caf::none;
}

} // namespace

caf::error encode_message(caf::actor_system& system, const caf::type_erased_tuple& content, byte_buffer& out) {
  if (content.size() > max_message_values)
    return caf::make_error(link_errc::too_large, "a message has at most " + std::to_string(max_message_values) +
                                                   " values when it goes to another host");
  out.push_back(static_cast<char>(content.size()));
  for (std::size_t i = 0; i < content.size(); ++i) {
    const auto& name = system.types().portable_name(content.type(i));
    if (name == system.types().default_type_name() || name.size() > 255)
      return caf::make_error(link_errc::type_not_allowed,
                             "value " + std::to_string(i + 1) +
                               " of the message has a type that is not announced, so it cannot go to another host; add "
                               "it to the type-id block");
    out.push_back(static_cast<char>(name.size()));
    out.insert(out.end(), name.begin(), name.end());
  }
  caf::binary_serializer sink(system, out);
  for (std::size_t i = 0; i < content.size(); ++i)
    if (auto failed = content.save(i, sink))
      return failed;
  return caf::none;
}

caf::error decode_message(caf::actor_system& system, std::string_view payload, const type_filter& allowed,
                          caf::message& out) {
  std::vector<std::string_view> names;
  if (!take_type_names(payload, names))
    return malformed("the message's list of types is not complete");
  for (const auto name : names)
    if (!allowed(name))
      return caf::make_error(link_errc::type_not_allowed,
                             "message type '" + std::string(name) + "' is not taken from other hosts here");
  try {
    return read_values(system, names, payload, out);
  } catch (const std::exception& reason) {
    return malformed(std::string("a value of the message could not be read: ") + reason.what());
  }
}

void encode_error(const caf::error& reason, byte_buffer& out) {
  const auto category = static_cast<std::uint64_t>(reason.category());
  for (int shift = 56; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(category >> shift));
  out.push_back(static_cast<char>(reason.code()));
  if (reason.context().match_elements<std::string>()) {
    const auto& text = reason.context().get_as<std::string>(0);
    const auto size = std::min(text.size(), max_control_bytes - 17 - 9);
    out.insert(out.end(), text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size));
  }
}

caf::error decode_error(std::string_view payload) {
  if (payload.size() < 9)
    return malformed("the host reported an error that cannot be read");
  std::uint64_t category = 0;
  for (std::size_t i = 0; i < 8; ++i)
    category = category << 8 | static_cast<unsigned char>(payload[i]);
  const auto code = static_cast<std::uint8_t>(payload[8]);
  if (code == 0)
    return malformed("the host reported an error with code 0, which is none");
  const auto name = static_cast<caf::atom_value>(category);
  if (payload.size() == 9)
    return caf::error(code, name);
  return caf::error(code, name, caf::make_message(std::string(payload.substr(9))));
}

} // namespace prunella::net
