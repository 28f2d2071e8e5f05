#pragma once
// The only place that touches thread states. The loop holds the GIL always, except around a poll that
// may block; libuv's callbacks never run Python code, so nothing has to take it back in between.
#include <Python.h>

#include "py/thread_end.hpp"

namespace veloop::py {

class GilReleased {
 public:
  GilReleased() noexcept : saved_(PyEval_SaveThread()) {}
  GilReleased(const GilReleased&) = delete;
  GilReleased& operator=(const GilReleased&) = delete;
  ~GilReleased() {
    survive_thread_end([this] { PyEval_RestoreThread(saved_); });
  }

 private:
  PyThreadState* saved_;
};

}  // namespace veloop::py
