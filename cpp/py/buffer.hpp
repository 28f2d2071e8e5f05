#pragma once
// A view of an object's memory that is released at the end of the scope.
#include <Python.h>

#include <cstddef>

namespace veloop::py {

class BufferView {
 public:
  // `flags` as for PyObject_GetBuffer(). Not ok(), with an error set, if the object has no such buffer.
  BufferView(PyObject* object, int flags) noexcept : ok_(PyObject_GetBuffer(object, &view_, flags) == 0) {}
  BufferView(const BufferView&) = delete;
  BufferView& operator=(const BufferView&) = delete;
  ~BufferView() {
    if (ok_) PyBuffer_Release(&view_);
  }

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  [[nodiscard]] char* data() const noexcept { return static_cast<char*>(view_.buf); }
  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(view_.len); }
  [[nodiscard]] const Py_buffer& raw() const noexcept { return view_; }

 private:
  Py_buffer view_ = {};
  bool ok_;
};

}  // namespace veloop::py
