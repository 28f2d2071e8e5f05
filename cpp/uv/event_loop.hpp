#pragma once
// Owner of a uv_loop_t. Handles made on it must be gone (Handle<H> destroyed) before it is.
#include <uv.h>

#include <memory>

#include "uv/status.hpp"

namespace veloop::uv {

struct RunThenClose {
  void operator()(uv_loop_t* loop) const noexcept {
    // Runs the close callbacks that are still due; only then does libuv agree to close.
    while (uv_loop_close(loop) == UV_EBUSY)
      uv_run(loop, UV_RUN_NOWAIT);
    delete loop;
  }
};

using EventLoop = std::unique_ptr<uv_loop_t, RunThenClose>;

inline Status open(EventLoop& out) {
  auto box = std::make_unique<uv_loop_t>();
  if (const Status status = uv_loop_init(box.get()); !status.ok()) return status;
  out.reset(box.release());
  return 0;
}

}  // namespace veloop::uv
