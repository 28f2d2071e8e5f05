#pragma once
// The arguments of call_soon() and its kin, add_reader() among them: named positional ones, then *args, then
// context=.
#include <Python.h>

#include <array>
#include <cstddef>

#include "py/ref.hpp"

namespace veloop::core {

template <std::size_t N>
struct ScheduleArguments {
  std::array<PyObject*, N> named = {};  // borrowed, as everything here
  PyObject* const* rest = nullptr;
  Py_ssize_t rest_count = 0;
  PyObject* context = nullptr;

  // False, with asyncio's TypeError set, if the call does not fit `method(names..., *args, context=None)`;
  // without a `context_name` it is `method(names..., *args)`.
  [[nodiscard]] bool parse(const char* method, const std::array<PyObject*, N>& names, PyObject* context_name,
                           PyObject* const* args, Py_ssize_t count, PyObject* keywords) noexcept {
    const auto given = static_cast<std::size_t>(count);
    for (std::size_t i = 0; i < N && i < given; ++i)
      named[i] = args[i];
    if (given > N) {
      rest = args + N;
      rest_count = count - static_cast<Py_ssize_t>(N);
    }
    const Py_ssize_t keyword_count = keywords != nullptr ? PyTuple_GET_SIZE(keywords) : 0;
    for (Py_ssize_t i = 0; i < keyword_count; ++i) {
      if (!take_keyword(method, names, context_name, PyTuple_GET_ITEM(keywords, i), args[count + i])) {
        return false;
      }
    }
    for (PyObject* argument : named) {
      if (argument == nullptr) return complain_of_missing(method, names);
    }
    return true;
  }

 private:
  bool complain_of_missing(const char* method, const std::array<PyObject*, N>& names) const noexcept {
    static_assert(N <= 2);
    if (N == 2 && named[0] == nullptr && named[N - 1] == nullptr) {
      PyErr_Format(PyExc_TypeError, "%s() missing 2 required positional arguments: %R and %R", method,
                   names[0], names[N - 1]);
    } else {
      PyErr_Format(PyExc_TypeError, "%s() missing 1 required positional argument: %R", method,
                   named[0] == nullptr ? names[0] : names[N - 1]);
    }
    return false;
  }

  [[nodiscard]] bool take_keyword(const char* method, const std::array<PyObject*, N>& names,
                                  PyObject* context_name, PyObject* keyword, PyObject* value) noexcept {
    // Names in calls are interned, so one comparison of pointers nearly always settles it.
    if (context_name != nullptr &&
        (keyword == context_name || PyUnicode_Compare(keyword, context_name) == 0)) {
      context = value;
      return true;
    }
    for (std::size_t i = 0; i < N; ++i) {
      if (PyUnicode_Compare(keyword, names[i]) != 0) continue;
      if (named[i] != nullptr) {
        PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument %R", method, keyword);
        return false;
      }
      named[i] = value;
      return true;
    }
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument %R", method, keyword);
    return false;
  }
};

}  // namespace veloop::core
