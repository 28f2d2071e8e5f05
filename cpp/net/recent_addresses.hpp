#pragma once
// The tuples of the Internet addresses that datagrams came from lately, and went to.
//
// Making a tuple of an address, and reading it back, costs more than the rest of an answer to a datagram. So
// a peer gets the same tuple again for as long as it is remembered, and whoever sends to that very object
// need not have it read: only exact tuples of exact strings and numbers are kept, and these do not change.
#include <Python.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "net/address.hpp"
#include "py/ref.hpp"

namespace veloop::net {

class RecentAddresses {
 public:
  // As net::to_python(), for any address. May throw std::bad_alloc, and may run the collector.
  [[nodiscard]] py::Ref<> to_python(const Address& address);

  // Whether this very object is remembered; if so `address` becomes what it stands for.
  [[nodiscard]] bool find(PyObject* object, Address& address) const noexcept;
  // Somebody sends there: `address` is what try_from_python() made of `object`. The last one is remembered.
  void set_target(PyObject* object, const Address& address) noexcept;

  // May drop last references, but runs no Python code.
  void clear() noexcept;

  template <class V>
  int visit_refs(V&& visit) {
    for (Entry& sender : senders_) {
      if (int stop = visit(sender.tuple)) return stop;
    }
    return visit(target_.tuple);
  }

 private:
  // More peers than these, taking turns, have their tuples made each time.
  static constexpr std::size_t kMost = 16;

  struct Entry {
    std::uint64_t key = 0;
    py::Ref<> tuple;
    sockaddr_in6 address = {};  // or a sockaddr_in, which is shorter
    socklen_t length = 0;

    void set(PyObject* object, const Address& from) noexcept;
    void get(Address& to) const noexcept;
  };

  std::vector<Entry> senders_;
  Entry target_;
  std::size_t last_ = 0;      // the sender that was asked for last
  std::size_t replaced_ = 0;  // the next one to be forgotten
};

}  // namespace veloop::net
