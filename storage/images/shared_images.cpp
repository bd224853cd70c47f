#include "storage/images/shared_images.hpp"

#include <utility>

#include "storage/os_files.hpp"

namespace prunella::storage {

namespace {

/// Blobs and layers are files, which any thread may use; the database behind the rest takes one thread at a time.
class locked_image_store final : public image_store {
  template <class Call>
  auto alone(Call call) {
    std::lock_guard<std::mutex> guard{mutex_};
    return call();
  }

public:
  explicit locked_image_store(std::unique_ptr<image_store> inner) : inner_(std::move(inner)) {}

  blob_store& blobs() override { return inner_->blobs(); }
  layer_store& layers() override { return inner_->layers(); }
  std::string staging() const override { return inner_->staging(); }
  result<disk_room> room() const override { return inner_->room(); }
  result<void> admit(std::uint64_t bytes) const override { return inner_->admit(bytes); }

  result<std::uint64_t> left() const override { return inner_->left(); }
  result<void> forget(const digest& manifest) override {
    return alone([&] { return inner_->forget(manifest); });
  }
  result<void> add(const image_record& record, const std::vector<image_reference>& names) override {
    return alone([&] { return inner_->add(record, names); });
  }
  result<image_record> find(const image_reference& reference) override {
    return alone([&] { return inner_->find(reference); });
  }
  result<image_record> find(const digest& manifest) override {
    return alone([&] { return inner_->find(manifest); });
  }
  result<image_documents> documents(const digest& manifest) override {
    return alone([&] { return inner_->documents(manifest); });
  }
  result<std::vector<descriptor>> missing(const digest& manifest) override {
    return alone([&] { return inner_->missing(manifest); });
  }
  result<std::vector<image_view>> list() override {
    return alone([&] { return inner_->list(); });
  }
  result<void> hold(const std::string& holder, const digest& manifest, std::int64_t now_ms) override {
    return alone([&] { return inner_->hold(holder, manifest, now_ms); });
  }
  result<void> release(const std::string& holder, std::int64_t now_ms) override {
    return alone([&] { return inner_->release(holder, now_ms); });
  }
  result<store_contents> contents() override {
    return alone([&] { return inner_->contents(); });
  }
  result<collection> collect(std::uint64_t bytes, const std::set<digest>& wanted, std::int64_t now_ms) override {
    return alone([&] { return inner_->collect(bytes, wanted, now_ms); });
  }

private:
  std::mutex mutex_;
  std::unique_ptr<image_store> inner_;
};

} // namespace

shared_images::shared_images(std::string folder, image_store_options options)
    : folder_(std::move(folder)), options_(std::move(options)) {}

bool shared_images::was_used() const {
  return file_exists(folder_ + "/images.db");
}

result<std::shared_ptr<image_store>> shared_images::get() {
  std::lock_guard<std::mutex> guard{mutex_};
  if (open_)
    return open_;
  auto opened = open_image_store(folder_, options_);
  if (!opened)
    return opened.error();
  open_ = std::make_shared<locked_image_store>(std::move(*opened));
  return open_;
}

void shared_images::reset() {
  std::lock_guard<std::mutex> guard{mutex_};
  open_ = nullptr;
}

} // namespace prunella::storage
