#include "storage/images/reference.hpp"

#include <utility>

#include "config/image_reference.hpp"

namespace prunella::storage {

namespace {

constexpr std::size_t shown_text = 120;

static_assert(default_registry == config::default_image_registry && default_tag == config::default_image_tag);

} // namespace

std::string image_reference::text() const {
  return name() + (tag.empty() ? "" : ":" + tag) + (is_pinned() ? "@" + pinned.text() : "");
}

result<image_reference> parse_reference(std::string_view text) {
  auto parsed = config::parse_image_reference(text);
  if (parsed.is_unsupported)
    return storage_error{storage_errc::unsupported, std::move(parsed.error)};
  if (!parsed.error.empty())
    return storage_error{storage_errc::malformed, "'" + std::string(text.substr(0, shown_text)) + "' is not an image's name: " + parsed.error
                                                    + " (the form is " + std::string(config::image_reference_form) + ")"};
  image_reference made{std::move(parsed.registry), std::move(parsed.repository), std::move(parsed.tag), {}};
  if (parsed.digest.empty())
    return made;
  auto pinned = parse_digest(parsed.digest);
  if (!pinned)
    return pinned.error();
  made.pinned = std::move(*pinned);
  return made;
}

} // namespace prunella::storage
