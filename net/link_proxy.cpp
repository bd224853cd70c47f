#include "net/link_proxy.hpp"

#include <utility>

#include <caf/actor_cast.hpp>
#include <caf/actor_config.hpp>
#include <caf/actor_proxy.hpp>
#include <caf/exit_reason.hpp>
#include <caf/make_actor.hpp>
#include <caf/monitorable_actor.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>
#include <caf/system_messages.hpp>

#include "net/link_codec.hpp"

namespace prunella::net {

namespace {

/// CAF's bookkeeping for an actor without mailbox: attachables run when the last handle goes.
class thread_free_actor : public caf::monitorable_actor {
public:
  explicit thread_free_actor(caf::actor_config& config) : caf::monitorable_actor(config) {}

  void on_destroy() override {
    if (!getf(is_cleaned_up_flag)) {
      cleanup(caf::make_error(caf::exit_reason::unreachable), nullptr);
      caf::monitorable_actor::on_destroy();
    }
  }

  void enqueue(caf::strong_actor_ptr sender, caf::message_id mid, caf::message content, caf::execution_unit*) override {
    take(std::move(sender), mid, content);
  }

  void enqueue(caf::mailbox_element_ptr element, caf::execution_unit*) override {
    take(std::move(element->sender), element->mid, element->content());
  }

protected:
  virtual void take(caf::strong_actor_ptr sender, caf::message_id mid, const caf::type_erased_tuple& content) = 0;
};

bool is_system_message(const caf::type_erased_tuple& content) {
  return content.match_elements<caf::exit_msg>() || content.match_elements<caf::down_msg>();
}

class remote_proxy final : public thread_free_actor {
public:
  remote_proxy(caf::actor_config& config, std::shared_ptr<link_channel> channel, std::string target)
    : thread_free_actor(config), channel_(std::move(channel)), target_(std::move(target)) {}

  const char* name() const override { return "remote_proxy"; }

protected:
  void take(caf::strong_actor_ptr sender, caf::message_id mid, const caf::type_erased_tuple& content) override {
    // Exits are never carried: who stops an actor is its own host's business.
    if (mid.is_response() || is_system_message(content))
      return;
    const bool wants_answer = mid.is_request() && sender != nullptr;
    // One buffer per thread: the caller's, so a burst allocates once.
    thread_local byte_buffer payload;
    payload.clear();
    if (auto failed = encode_message(home_system(), content, payload)) {
      if (wants_answer)
        link_asker{std::move(sender), mid}.fail(failed);
      return;
    }
    const std::string_view bytes(payload.data(), payload.size());
    if (wants_answer)
      channel_->request(target_, bytes, link_asker{std::move(sender), mid}, home_system().clock().now());
    else
      channel_->send(target_, bytes);
    if (payload.capacity() > 256 * 1024)
      byte_buffer().swap(payload);
  }

private:
  std::shared_ptr<link_channel> channel_;
  std::string target_;
};

class answer_sink final : public thread_free_actor {
public:
  answer_sink(caf::actor_config& config, std::shared_ptr<link_channel> channel, std::uint64_t link)
    : thread_free_actor(config), channel_(std::move(channel)), link_(link) {}

  const char* name() const override { return "answer_sink"; }

protected:
  void take(caf::strong_actor_ptr, caf::message_id mid, const caf::type_erased_tuple& content) override {
    if (!mid.is_response())
      return;
    const auto id = mid.request_id().integer_value();
    if (content.match_elements<caf::error>()) {
      channel_->refuse(link_, id, content.get_as<caf::error>(0));
      return;
    }
    byte_buffer payload;
    if (auto failed = encode_message(home_system(), content, payload))
      channel_->refuse(link_, id, failed);
    else
      channel_->answer(link_, id, {payload.data(), payload.size()});
  }

private:
  std::shared_ptr<link_channel> channel_;
  std::uint64_t link_;
};

/// The window is given back in the destructor: whoever holds the message last, also when it was skipped or never handled.
class counted_message final : public caf::mailbox_element {
public:
  counted_message(caf::strong_actor_ptr from, caf::message_id id, caf::message content,
                  std::shared_ptr<link_consumption> consumption, std::uint32_t bytes)
    : caf::mailbox_element(std::move(from), id, {}), content_(std::move(content)),
      consumption_(std::move(consumption)), bytes_(bytes) {}

  ~counted_message() override { consumption_->add(bytes_); }

  caf::type_erased_tuple& content() override { return content_.content(); }
  const caf::type_erased_tuple& content() const override { return *content_.cvals(); }
  caf::message move_content_to_message() override { return std::move(content_); }
  caf::message copy_content_to_message() const override { return content_; }

private:
  caf::message content_;
  std::shared_ptr<link_consumption> consumption_;
  std::uint32_t bytes_;
};

} // namespace

caf::actor make_remote_proxy(caf::actor_system& system, std::shared_ptr<link_channel> channel, std::string name) {
  caf::actor_config config;
  return caf::actor_cast<caf::actor>(caf::make_actor<remote_proxy, caf::strong_actor_ptr>(
    system.next_actor_id(), system.node(), &system, config, std::move(channel), std::move(name)));
}

caf::strong_actor_ptr make_answer_sink(caf::actor_system& system, std::shared_ptr<link_channel> channel,
                                       std::uint64_t link) {
  caf::actor_config config;
  return caf::make_actor<answer_sink, caf::strong_actor_ptr>(system.next_actor_id(), system.node(), &system, config,
                                                             std::move(channel), link);
}

caf::mailbox_element_ptr make_counted_message(caf::strong_actor_ptr sender, caf::message_id mid, caf::message content,
                                              std::shared_ptr<link_consumption> consumption, std::uint32_t bytes) {
  return caf::mailbox_element_ptr(
    new counted_message(std::move(sender), mid, std::move(content), std::move(consumption), bytes));
}

} // namespace prunella::net
