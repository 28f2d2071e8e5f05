#include "tls/channel.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <functional>

namespace veloop::tls {
namespace {

constexpr int kTypeSourceSink = 0x400;
constexpr int kFlagRead = 1;
constexpr int kFlagWrite = 2;
constexpr int kFlagRetry = 8;
constexpr int kRetryFlags = 15;
constexpr int kControlPending = 10;
constexpr int kControlFlush = 11;
constexpr int kControlDuplicate = 12;

}  // namespace

BioMethod* Channel::method() noexcept {
  // One for all, as long as the process lives: OpenSSL counts the kinds of BIO.
  static BioMethod* const made = [] {
    const OpenSsl& api = openssl();
    BioMethod* fresh = api.BIO_meth_new(api.BIO_get_new_index() | kTypeSourceSink, "veloop");
    if (fresh != nullptr) {
      api.BIO_meth_set_read_ex(fresh, &Channel::read);
      api.BIO_meth_set_write_ex(fresh, &Channel::write);
      api.BIO_meth_set_ctrl(fresh, &Channel::control);
    }
    return fresh;
  }();
  return made;
}

bool Channel::open(Ssl* ssl) noexcept {
  const OpenSsl& api = openssl();
  bio_ = method() != nullptr ? api.BIO_new(method()) : nullptr;
  if (bio_ == nullptr) return false;
  api.BIO_set_data(bio_, this);
  api.BIO_set_init(bio_, 1);
  api.BIO_up_ref(bio_);  // One reference is ours, one the SSL object's, for both directions.
  api.SSL_set_bio(ssl, bio_, bio_);
  return true;
}

Channel::~Channel() {
  if (bio_ == nullptr) return;
  openssl().BIO_set_data(bio_, nullptr);
  openssl().BIO_free(bio_);
}

bool Channel::is_kept() const noexcept {
  const std::less_equal<> not_after;
  return unread_ > 0 && !kept_.empty() && not_after(kept_.data(), next_) &&
         not_after(next_, kept_.data() + kept_.size());
}

void Channel::feed(const char* data, std::size_t count) {
  if (unread_ == 0) {
    next_ = data;
    unread_ = count;
    return;
  }
  keep_rest();
  kept_.erase(kept_.begin(), kept_.end() - static_cast<std::ptrdiff_t>(unread_));
  kept_.insert(kept_.end(), data, data + count);
  next_ = kept_.data();
  unread_ = kept_.size();
}

void Channel::keep_rest() {
  if (unread_ == 0) {
    std::vector<char>().swap(kept_);  // an idle connection keeps nothing
    next_ = nullptr;
  } else if (!is_kept()) {
    kept_.assign(next_, next_ + unread_);
    next_ = kept_.data();
  }
}

// The three are called by OpenSSL, maybe without the GIL (do_handshake() gives it away).

int Channel::read(Bio* bio, char* buffer, std::size_t size, std::size_t* count) {
  const OpenSsl& api = openssl();
  api.BIO_clear_flags(bio, kRetryFlags);
  auto* self = static_cast<Channel*>(api.BIO_get_data(bio));
  if (self == nullptr || self->unread_ == 0) {
    api.BIO_set_flags(bio, kFlagRead | kFlagRetry);
    return 0;
  }
  *count = std::min(size, self->unread_);
  std::memcpy(buffer, self->next_, *count);
  self->next_ += *count;
  self->unread_ -= *count;
  return 1;
}

int Channel::write(Bio* bio, const char* data, std::size_t size, std::size_t* count) {
  const OpenSsl& api = openssl();
  api.BIO_clear_flags(bio, kRetryFlags);
  auto* self = static_cast<Channel*>(api.BIO_get_data(bio));
  if (self == nullptr) {
    api.BIO_set_flags(bio, kFlagWrite | kFlagRetry);
    return 0;
  }
  std::vector<char>& output = self->diverted_ != nullptr ? *self->diverted_ : self->output_;
  try {
    output.insert(output.end(), data, data + size);
  } catch (const std::exception&) {
    return 0;
  }
  *count = size;
  return 1;
}

long Channel::control(Bio* bio, int command, long, void*) {
  if (command == kControlFlush || command == kControlDuplicate) return 1;
  const auto* self = static_cast<Channel*>(openssl().BIO_get_data(bio));
  return command == kControlPending && self != nullptr ? static_cast<long>(self->unread_) : 0;
}

}  // namespace veloop::tls
