#include "core/timers.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "core/handle_members.hpp"
#include "core/loop.hpp"
#include "py/call.hpp"
#include "py/type.hpp"

namespace veloop::core {
namespace {

py::Ref<> deadline(const Timer& timer) noexcept {
  return timer.when_object ? timer.when_object.share() : py::steal(PyFloat_FromDouble(timer.when));
}

PyObject* when_method(PyObject* self, PyObject*) { return deadline(*py::state_of<Timer>(self)).release(); }
PyObject* when_attribute(PyObject* self, void*) { return deadline(*py::state_of<Timer>(self)).release(); }
PyObject* scheduled_attribute(PyObject* self, void*) {
  return PyBool_FromLong(py::state_of<Timer>(self)->heap_index != base::kNotInHeap);
}

}  // namespace

void TimerHeap::add(Timer& timer) {
  // A NaN would break the heap's order. asyncio runs such a timer at once, too.
  const double key = std::isnan(timer.when) ? -std::numeric_limits<double>::infinity() : timer.when;
  heap_.push(key, &timer);
  py::retain(timer.self);
}

void TimerHeap::remove(Timer& timer) noexcept {
  if (timer.heap_index == base::kNotInHeap) return;
  heap_.remove(timer);
  release(timer);
}

void TimerHeap::clear() noexcept {
  while (!heap_.empty())
    release(*heap_.pop());
}

Timer* new_timer(Loop& loop, double when, PyObject* when_object, PyObject* function, PyObject* const* args,
                 Py_ssize_t count, PyObject* context) noexcept {
  PyObject* self = py::new_untracked_object<Timer>(loop.state().types.timer_handle.get());
  if (self == nullptr) return nullptr;
  auto* timer = py::state_of<Timer>(self);
  timer->self = self;
  timer->kind = Callback::Kind::kTimer;
  timer->when = when;
  if (when_object != nullptr && !PyFloat_CheckExact(when_object)) timer->when_object = py::share(when_object);
  if (!fill(*timer, loop, function, args, count, context)) {
    py::drop(self);
    return nullptr;
  }
  return timer;
}

py::Ref<PyTypeObject> make_timer_handle_type(PyObject* module) noexcept {
  const auto events = py::steal(PyImport_ImportModule("asyncio.events"));
  if (!events) return {};
  const auto base = py::get_attr(events.get(), "TimerHandle");
  if (!base) return {};
  static PyMethodDef methods[] = {
      kHandleMethods<Timer>[0],
      kHandleMethods<Timer>[1],
      kHandleMethods<Timer>[2],
      kHandleMethods<Timer>[3],
      {"when", when_method, METH_NOARGS, "Return the deadline, in seconds on the loop's clock."},
      {nullptr, nullptr, 0, nullptr},
  };
  static PyGetSetDef getset[] = {
      kHandleGetSet<Timer>[0],
      kHandleGetSet<Timer>[1],
      kHandleGetSet<Timer>[2],
      kHandleGetSet<Timer>[3],
      kHandleGetSet<Timer>[4],
      kHandleGetSet<Timer>[5],
      kHandleGetSet<Timer>[6],
      {"_when", when_attribute, nullptr, nullptr, nullptr},
      {"_scheduled", scheduled_attribute, nullptr, nullptr, nullptr},
      {nullptr, nullptr, nullptr, nullptr, nullptr},
  };
  auto type = py::make_type<Timer>(module, "veloop._native.TimerHandle", base.get(), methods, getset,
                                   "A callback that is due at a time: asyncio.TimerHandle.");
  if (type) {
    type.get()->tp_dealloc = [](PyObject* self) { dealloc_handle(self, *py::state_of<Timer>(self)); };
  }
  return type;
}

}  // namespace veloop::core
