#pragma once
// Timer: the native asyncio.TimerHandle, and TimerHeap: the timers that are due later.
//
// Deadlines are seconds on the loop's clock, compared as the floats that callers gave. Equal deadlines
// fire in the order in which they were made. A cancelled timer leaves the heap, and its memory, at once.
#include <Python.h>

#include <cstddef>

#include "base/binary_heap.hpp"
#include "core/callback.hpp"
#include "py/ref.hpp"

namespace veloop::core {

struct Timer : Callback {
  double when = 0;
  py::Ref<> when_object;  // only if the deadline was given as something else than a float
  std::size_t heap_index = base::kNotInHeap;

  template <class V>
  int visit_refs(V&& visit) {
    if (int stop = Callback::visit_refs(visit)) return stop;
    return visit(when_object);
  }
};

class TimerHeap {
 public:
  TimerHeap() = default;
  TimerHeap(const TimerHeap&) = delete;
  TimerHeap& operator=(const TimerHeap&) = delete;
  ~TimerHeap() { clear(); }

  [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }
  // The earliest deadline; the heap must not be empty.
  [[nodiscard]] double next_deadline() const noexcept { return heap_.top_key(); }
  [[nodiscard]] Timer* at(std::size_t index) const noexcept { return heap_.at(index); }

  // Keeps the timer alive until it is taken or removed. May throw std::bad_alloc.
  void add(Timer& timer);
  // How many deadlines are not after `seconds`.
  [[nodiscard]] std::size_t count_due(double seconds) const noexcept { return heap_.count_until(seconds); }
  // Takes those out and gives each to `sink`, with the reference to its object.
  template <class Sink>
  void take_due(double seconds, std::size_t count, Sink&& sink) noexcept {
    heap_.pop_until(seconds, count, sink);
  }
  // Forgets the timer, if it is in the heap.
  void remove(Timer& timer) noexcept;
  void clear() noexcept;

 private:
  base::BinaryHeap<double, Timer> heap_;
};

// A new timer, not yet in any heap, nor shown to the collector. `when_object` is what the caller gave as
// deadline.
Timer* new_timer(Loop& loop, double when, PyObject* when_object, PyObject* function, PyObject* const* args,
                 Py_ssize_t count, PyObject* context) noexcept;

// Makes the TimerHandle type. Null, with an error set, on failure.
py::Ref<PyTypeObject> make_timer_handle_type(PyObject* module) noexcept;

}  // namespace veloop::core
