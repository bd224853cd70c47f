#include "net/link_inbound.hpp"

#include <exception>

#include <caf/actor_cast.hpp>

#include "net/link_codec.hpp"
#include "net/link_proxy.hpp"

namespace prunella::net {

link_inbound::link_inbound(caf::actor_system& system, const link_options& options)
  : system_(system), answer_types_(options.answer_types.begin(), options.answer_types.end()) {
  for (const auto& [name, given] : options.exports)
    entrances_[name] = {given.resolve, {given.types.begin(), given.types.end()}, given.may_say};
}

delivery link_inbound::resolve_and_read(const std::string& peer, const frame& in, caf::actor& target,
                                        caf::message& content) const {
  const auto entrance = entrances_.find(in.target);
  if (entrance == entrances_.end())
    return {caf::make_error(link_errc::unknown_name,
                            "the host has no actor '" + std::string(in.target) + "' for other hosts"),
            false};
  const auto& types = entrance->second.types;
  auto failed = decode_message(
    system_, in.payload, [&](std::string_view name) { return types.find(name) != types.end(); }, content);
  if (failed)
    return {failed, failed == link_errc::malformed};
  if (content.empty())
    return {caf::make_error(link_errc::malformed, "a message without a value"), true};
  const auto& may_say = entrance->second.may_say;
  if (may_say && !may_say(peer, content))
    return {caf::make_error(link_errc::wrong_sender, "a message in the name of another than " + peer), true};
  try {
    target = entrance->second.resolve();
  } catch (const std::exception&) {
    target = nullptr;
  }
  if (!target)
    return {caf::make_error(link_errc::not_running,
                            "the actor '" + std::string(in.target) + "' is not running now on that host"),
            false};
  return {};
}

delivery link_inbound::deliver(const std::string& peer, const frame& in, const caf::strong_actor_ptr& sink,
                               const std::shared_ptr<link_consumption>& consumption) const {
  caf::actor target;
  caf::message content;
  auto result = resolve_and_read(peer, in, target, content);
  if (result.refused) {
    consumption->add(in.wire_bytes);
    return result;
  }
  const bool request = in.kind == frame_kind::request;
  const auto mid = request ? caf::make_message_id(in.id) : caf::make_message_id();
  auto element = make_counted_message(request ? sink : nullptr, mid, std::move(content), consumption, in.wire_bytes);
  caf::actor_cast<caf::abstract_actor*>(target)->enqueue(std::move(element), nullptr);
  return {};
}

bool link_inbound::answer(const frame& in, const link_asker& asker) const {
  if (in.kind == frame_kind::failure) {
    asker.fail(decode_error(in.payload));
    return true;
  }
  caf::message content;
  auto failed = decode_message(
    system_, in.payload,
    [this](std::string_view name) { return answer_types_.find(name) != answer_types_.end(); },
    content);
  if (!failed) {
    asker.answer(std::move(content));
    return true;
  }
  asker.fail(failed);
  return failed != link_errc::malformed;
}

} // namespace prunella::net
