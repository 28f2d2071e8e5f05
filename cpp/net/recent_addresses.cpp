#include "net/recent_addresses.hpp"

#include <cstring>
#include <utility>

namespace veloop::net {
namespace {

// What is not remembered has none.
constexpr std::uint64_t kNone = 0;

// IPv4: the whole address. IPv6: a digest of it.
std::uint64_t key_of(const Address& address) noexcept {
  if (address.family() == AF_INET) {
    return std::uint64_t{AF_INET} << 48 | std::uint64_t{address.v4.sin_port} << 32 |
           address.v4.sin_addr.s_addr;
  }
  // Nobody may send to a flow of more than 20 bits: such a tuple has to be read, to be refused.
  if (address.family() != AF_INET6 || ntohl(address.v6.sin6_flowinfo) > 0xFFFFF) return kNone;
  std::uint64_t halves[2];
  std::memcpy(halves, &address.v6.sin6_addr, sizeof halves);
  const std::uint64_t rest = std::uint64_t{address.v6.sin6_scope_id} << 16 | address.v6.sin6_port;
  return (halves[0] ^ halves[1] << 1 ^ rest) | 1;
}

}  // namespace

void RecentAddresses::Entry::set(PyObject* object, const Address& from) noexcept {
  key = key_of(from);
  length = from.length;
  address = from.v6;
  tuple = py::share(object);
}

void RecentAddresses::Entry::get(Address& to) const noexcept {
  to.v6 = address;
  to.length = length;
}

py::Ref<> RecentAddresses::to_python(const Address& address) {
  const std::uint64_t key = address.length > 0 ? key_of(address) : kNone;
  if (key == kNone) return net::to_python(&address.base, address.length);
  for (std::size_t i = 0; i < senders_.size(); ++i) {
    const Entry& sender = senders_[i];
    if (sender.key != key || !sender.tuple) continue;
    if (address.family() == AF_INET6 && std::memcmp(&sender.address, &address, sizeof sender.address) != 0) {
      continue;
    }
    last_ = i;
    return sender.tuple.share();
  }
  py::Ref<> tuple = net::to_python(&address.base, address.length);
  if (!tuple) return tuple;
  // Only now, for the collector may have come here.
  if (senders_.size() < kMost) {
    last_ = senders_.size();
    senders_.emplace_back();
  } else {
    last_ = replaced_++ % kMost;
  }
  senders_[last_].set(tuple.get(), address);
  return tuple;
}

bool RecentAddresses::find(PyObject* object, Address& address) const noexcept {
  const Entry* found = nullptr;
  if (last_ < senders_.size() && senders_[last_].tuple.get() == object) {
    found = &senders_[last_];
  } else if (target_.tuple.get() == object) {
    found = &target_;
  } else {
    for (const Entry& sender : senders_) {
      if (sender.tuple.get() == object) found = &sender;
    }
  }
  if (found != nullptr) found->get(address);
  return found != nullptr;
}

void RecentAddresses::set_target(PyObject* object, const Address& address) noexcept {
  if (key_of(address) != kNone) target_.set(object, address);
}

void RecentAddresses::clear() noexcept {
  const std::vector<Entry> senders = std::exchange(senders_, {});
  target_ = Entry();
}

}  // namespace veloop::net
