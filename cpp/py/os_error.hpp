#pragma once
// OSError for an errno, as PyErr_SetFromErrno() makes it, without decoding the same words each time: every
// connection that is reset ends with one.
#include <Python.h>

#include <cerrno>
#include <string>

#include "py/ref.hpp"

namespace veloop::py {

// The words of the error that came last. strerror() is asked each time, since its answer depends on the
// locale; only plain ASCII, which means the same in every locale, is kept.
struct ErrorWords {
  std::string said;
  Ref<> text;
};

// Sets OSError, or the subclass that the number stands for, as the current exception.
inline void set_os_error(int error_number) noexcept {
  errno = error_number;
  PyErr_SetFromErrno(PyExc_OSError);
}

// The same, with the words at hand. For EINTR that of a signal handler, if it raises.
void set_os_error(ErrorWords& words, int error_number) noexcept;

}  // namespace veloop::py
