#pragma once
// FreeList: dead objects of one type, kept for reuse with the reference to their type.
//
// It takes what a burst leaves behind, so that the next burst finds its memory where it was: returned to the
// allocator, it goes to the kernel and comes back page by page (call_soon_threadsafe(), 20,000 at once, is
// 1.3 times as fast). trim() gives it back bit by bit, when there is nothing to do.
#include <Python.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "py/ref.hpp"

namespace veloop::py {

// An interpreter that counts or traces all references wants to be told of each: no short cuts then.
#if defined(Py_REF_DEBUG) || defined(Py_TRACE_REFS)
inline constexpr bool kCountsReferences = true;
#else
inline constexpr bool kCountsReferences = false;
#endif

// If the caller has the only reference, it is gone, and the object is the caller's to deallocate.
inline bool take_last_reference(PyObject* object) noexcept {
  if (kCountsReferences || Py_REFCNT(object) != 1) return false;
  Py_SET_REFCNT(object, 0);
  return true;
}

class FreeList {
 public:
  FreeList() = default;
  FreeList(const FreeList&) = delete;
  FreeList& operator=(const FreeList&) = delete;
  ~FreeList() { shrink(0); }

  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  // Whether there is more than is kept for good.
  [[nodiscard]] bool has_excess() const noexcept { return count_ > kKept; }

  // An object with one reference, whose native part is to be constructed. The list must not be empty.
  [[nodiscard]] PyObject* take() noexcept {
    PyObject* object = std::exchange(first_, next(first_));
    next(object) = nullptr;
    --count_;
    kCountsReferences ? _Py_NewReference(object) : Py_SET_REFCNT(object, 1);
    return object;
  }
  // An object that is deallocated except for its memory. False if there is no room.
  [[nodiscard]] bool put(PyObject* object) noexcept {
    if (count_ == kMost) return false;
    next(object) = std::exchange(first_, object);
    ++count_;
    return true;
  }

  // Half of it goes, down to what is kept for good; or all down to that.
  void trim() noexcept { shrink(std::max(kKept, count_ / 2)); }
  void trim_all() noexcept { shrink(kKept); }

  static void free(PyObject* object) noexcept {
    PyTypeObject* type = Py_TYPE(object);
    PyObject_GC_Del(object);
    drop(reinterpret_cast<PyObject*>(type));
  }

 private:
  static constexpr std::size_t kKept = 1024;
  static constexpr std::size_t kMost = 32 * 1024;

  // Behind the object's head, where a live one has its first attribute.
  static PyObject*& next(PyObject* object) noexcept { return *reinterpret_cast<PyObject**>(object + 1); }

  void shrink(std::size_t count) noexcept {
    for (; count_ > count; --count_)
      free(std::exchange(first_, next(first_)));
  }

  PyObject* first_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace veloop::py
