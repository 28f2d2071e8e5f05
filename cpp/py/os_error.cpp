#include "py/os_error.hpp"

#include <cerrno>
#include <cstring>

#include "py/call.hpp"
#include "py/error.hpp"

namespace veloop::py {
namespace {

Ref<> words_of(ErrorWords& words, int error_number) noexcept {
  const char* said = std::strerror(error_number);
  if (words.text && words.said == said) return words.text.share();
  auto text = steal(PyUnicode_DecodeLocale(said, "surrogateescape"));
  if (!text || !PyUnicode_IS_ASCII(text.get())) return text;
  const bool kept = guard([&] {
    words.said = said;
    return true;
  });
  if (!kept) return {};
  words.text = text.share();
  return text;
}

}  // namespace

void set_os_error(ErrorWords& words, int error_number) noexcept {
  if (error_number == EINTR) {
    set_os_error(error_number);
    return;
  }
  const auto text = words_of(words, error_number);
  const auto number = text ? steal(PyLong_FromLong(error_number)) : Ref<>();
  const auto error = number ? call(PyExc_OSError, number.get(), text.get()) : Ref<>();
  if (error) PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.get())), error.get());
}

}  // namespace veloop::py
