#pragma once
// Owner of a uv_loop_t. Handles made on it must be gone (Handle<H> destroyed) before it is.
#include <fcntl.h>
#include <uv.h>

#include <memory>

#include "base/owned_fd.hpp"
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
  box->backend_fd = -1;
  if (const Status status = uv_loop_init(box.get()); !status.ok()) {
    // libuv leaves its set open when what it makes next (a pipe, an event descriptor) fails.
    if (box->backend_fd >= 0 && ::fcntl(box->backend_fd, F_GETFD) >= 0)
      base::OwnedFd(box->backend_fd).reset();
    return status;
  }
  out.reset(box.release());
  return 0;
}

}  // namespace veloop::uv
