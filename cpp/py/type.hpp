#pragma once
// Native types with real Python bases.
//
// make_type() lets a C++ class T live behind whatever its Python base class has in an instance, so that
// `isinstance(handle, asyncio.Handle)` holds without knowing asyncio's layout: the base's size is read
// when the type is made. T names its references once, in visit_refs(); traverse, clear and dealloc all
// come from that list. These types cannot be instantiated or subclassed from Python.
//
// T provides:   template <class V> int visit_refs(V&& visit);   // visit(Ref&) for each reference
// and may have: static constexpr bool kHasDict = true;          // attributes and weak references
//               static void finalize(PyObject* self);           // tp_finalize
//               static PyObject* repr(PyObject* self);          // tp_repr
//               static constexpr Py_ssize_t kLeadingReferences; // T begins with so many PyObject* or Ref:
//                                                               // they may lie in slots of the base class
#include <Python.h>
#include <structmember.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <vector>

#include "py/ref.hpp"

namespace veloop::py {

template <class T>
concept HasDict = requires { requires T::kHasDict; };

// Behind T, for types whose instances take attributes and weak references (asyncio's transports do).
struct DictAndWeakrefs {
  Ref<> dict;
  PyObject* weakrefs;
};

template <class T>
inline constexpr std::size_t kNativeSize = sizeof(T) + (HasDict<T> ? sizeof(DictAndWeakrefs) : 0);

// The native part of an instance of a type made by make_type<T>().
template <class T>
T* state_of(PyObject* self) noexcept {
  return reinterpret_cast<T*>(reinterpret_cast<char*>(self) + Py_TYPE(self)->tp_basicsize - kNativeSize<T>);
}

template <class T>
Ref<>& dict_of(PyObject* self) noexcept {
  return reinterpret_cast<DictAndWeakrefs*>(reinterpret_cast<char*>(state_of<T>(self)) + sizeof(T))->dict;
}

// Where the weak references of an object are kept, whose type has them.
inline PyObject** weak_references(PyObject* self) noexcept {
  return reinterpret_cast<PyObject**>(reinterpret_cast<char*>(self) + Py_TYPE(self)->tp_weaklistoffset);
}

template <class T>
int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if constexpr (HasDict<T>) Py_VISIT(dict_of<T>(self).get());
  return state_of<T>(self)->visit_refs([&](auto& ref) { return ref ? visit(ref.raw(), arg) : 0; });
}

template <class T>
int clear(PyObject* self) {
  if constexpr (HasDict<T>) dict_of<T>(self).reset();
  return state_of<T>(self)->visit_refs([](auto& ref) {
    ref.reset();
    return 0;
  });
}

template <class T>
void dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  if (type->tp_finalize != nullptr && PyObject_CallFinalizerFromDealloc(self) < 0) return;
  PyObject_GC_UnTrack(self);
  if (type->tp_weaklistoffset != 0 && *weak_references(self) != nullptr) PyObject_ClearWeakRefs(self);
  if constexpr (HasDict<T>) dict_of<T>(self).reset();
  state_of<T>(self)->~T();
  type->tp_free(self);
  Py_DECREF(type);
}

template <class T>
concept HasFinalize = requires(PyObject* self) { T::finalize(self); };

template <class T>
concept HasRepr = requires(PyObject* self) { T::repr(self); };

template <class T>
concept HasLeadingReferences = requires { T::kLeadingReferences; };

// How many slots that Python code declares (__slots__) are the end of an instance of `type`; `most` at most.
inline Py_ssize_t slots_at_end(const PyTypeObject* type, Py_ssize_t most) noexcept {
  const auto is_slot = [type](Py_ssize_t offset) {
    for (const PyTypeObject* each = type; each != nullptr; each = each->tp_base) {
      for (const PyMemberDef* member = each->tp_members; member != nullptr && member->name; ++member) {
        if (member->offset == offset && member->type == T_OBJECT_EX) return true;
      }
    }
    return false;
  };
  constexpr auto kSize = static_cast<Py_ssize_t>(sizeof(PyObject*));
  Py_ssize_t count = 0;
  while (count < most && is_slot(type->tp_basicsize - (count + 1) * kSize))
    ++count;
  return count;
}

// Makes the type `name` with base class `base`, or with several: a tuple of classes without slots of their
// own beyond those of a common base. Null, with an error set, on failure.
template <class T>
Ref<PyTypeObject> make_type(PyObject* module, const char* name, PyObject* base, PyMethodDef* methods,
                            PyGetSetDef* getset, const char* doc) noexcept {
  static_assert(sizeof(T) % alignof(PyObject*) == 0 && alignof(T) <= alignof(std::max_align_t));
  const auto bases = PyTuple_Check(base) ? share(base) : steal(PyTuple_Pack(1, base));
  if (!bases) return {};
  Py_ssize_t offset = 0;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(bases.get()); ++i) {
    const auto* each = reinterpret_cast<PyTypeObject*>(PyTuple_GET_ITEM(bases.get(), i));
    if (each->tp_basicsize > offset) offset = each->tp_basicsize;
  }
  if constexpr (HasLeadingReferences<T>) {
    const auto* only = reinterpret_cast<PyTypeObject*>(PyTuple_GET_ITEM(bases.get(), 0));
    offset -= slots_at_end(only, T::kLeadingReferences) * static_cast<Py_ssize_t>(sizeof(PyObject*));
  }
  std::vector<PyType_Slot> slots = {
      {Py_tp_dealloc, reinterpret_cast<void*>(&dealloc<T>)},
      {Py_tp_traverse, reinterpret_cast<void*>(&traverse<T>)},
      {Py_tp_clear, reinterpret_cast<void*>(&clear<T>)},
      {Py_tp_methods, methods},
      {Py_tp_getset, getset},
      {Py_tp_doc, const_cast<char*>(doc)},
  };
  PyMemberDef members[3] = {};
  if constexpr (HasDict<T>) {
    const Py_ssize_t place = offset + static_cast<Py_ssize_t>(sizeof(T) + offsetof(DictAndWeakrefs, dict));
    members[0] = {"__dictoffset__", T_PYSSIZET, place, READONLY, nullptr};
    members[1] = {"__weaklistoffset__", T_PYSSIZET, place + static_cast<Py_ssize_t>(sizeof(PyObject*)),
                  READONLY, nullptr};
    slots.push_back({Py_tp_members, members});
    slots.push_back({Py_tp_getattro, reinterpret_cast<void*>(&PyObject_GenericGetAttr)});
    slots.push_back({Py_tp_setattro, reinterpret_cast<void*>(&PyObject_GenericSetAttr)});
  }
  if constexpr (HasFinalize<T>) {
    slots.push_back({Py_tp_finalize, reinterpret_cast<void*>(&T::finalize)});
  }
  if constexpr (HasRepr<T>) {
    slots.push_back({Py_tp_repr, reinterpret_cast<void*>(&T::repr)});
  }
  slots.push_back({0, nullptr});
  PyType_Spec spec = {name, static_cast<int>(offset + static_cast<Py_ssize_t>(kNativeSize<T>)), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                      slots.data()};
  return Ref<PyTypeObject>::steal(
      reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, bases.get())));
}

// A new instance with its T default-constructed, already tracked by the collector.
template <class T>
PyObject* new_object(PyTypeObject* type) noexcept {
  PyObject* self = type->tp_alloc(type, 0);
  if (self != nullptr) new (state_of<T>(self)) T();
  return self;
}

// The same, not tracked yet: for objects that come and go where the collector need not look.
template <class T>
PyObject* new_untracked_object(PyTypeObject* type) noexcept {
  PyObject* self = PyObject_GC_New(PyObject, type);
  if (self == nullptr) return nullptr;
  T* state = state_of<T>(self);
  std::memset(self + 1, 0,
              static_cast<std::size_t>(reinterpret_cast<char*>(state) - reinterpret_cast<char*>(self + 1)));
  new (state) T();
  return self;
}

}  // namespace veloop::py
