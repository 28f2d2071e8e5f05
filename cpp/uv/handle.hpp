#pragma once
// Ownership of libuv handles.
//
// libuv may touch a handle until its close callback has run, which is later than the moment we lose
// interest in it. Handle<H> is an owning pointer whose deleter knows that: it detaches the owner,
// closes, and frees when libuv says so. Destroy it on the loop's thread.
#include <uv.h>

#include <memory>

#include "uv/status.hpp"

namespace veloop::uv {

struct CloseThenFree {
  template <class H>
  void operator()(H* handle) const noexcept {
    handle->data = nullptr;  // A callback already queued finds no owner and returns.
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete reinterpret_cast<H*>(closed); });
  }
};

template <class H>
using Handle = std::unique_ptr<H, CloseThenFree>;

// Fills `out` only if `init` succeeds: a handle that libuv refused must not be closed.
template <class H, class Init>
Status open(Handle<H>& out, Init&& init) {
  auto box = std::make_unique<H>();
  if (const Status status = init(box.get()); !status.ok()) return status;
  out.reset(box.release());
  return 0;
}

}  // namespace veloop::uv
