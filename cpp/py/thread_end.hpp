#pragma once
// What happens to a daemon thread of ours when the interpreter shuts down.
//
// Before Python 3.14 a thread that then asks for the GIL is ended with pthread_exit(), which unwinds its
// stack: through a noexcept function that is std::terminate(), and the end of the process with SIGABRT.
// From 3.14 on such a thread hangs until the process is gone. So do ours, with every Python.
#include <Python.h>

#include <exception>

#if PY_VERSION_HEX < 0x030E0000 && defined(__GLIBCXX__)
#include <unistd.h>
#define VELOOP_THREADS_MAY_END 1
#endif

namespace veloop::py {

// Around whatever may run Python code or take the GIL, and is called from a noexcept function.
template <class Body>
auto survive_thread_end(Body&& body) noexcept -> decltype(body()) {
#ifdef VELOOP_THREADS_MAY_END
  try {
    return body();
  } catch (...) {
    // What unwinds the stack of a thread that ends is no C++ exception; such a one has no business here.
    if (std::current_exception()) std::terminate();
    for (;;)
      ::pause();
  }
#else
  return body();
#endif
}

}  // namespace veloop::py
