// Registration, and nothing else: the single file that sees every part.
#include <pybind11/pybind11.h>
#include <uv.h>

#include <utility>
#include <vector>

#include "core/callback.hpp"
#include "core/create_task.hpp"
#include "core/loop_type.hpp"
#include "core/timers.hpp"
#include "io/datagram.hpp"
#include "io/descriptors.hpp"
#include "io/listener.hpp"
#include "io/read_pipe.hpp"
#include "io/socket_ops.hpp"
#include "io/stream.hpp"
#include "io/write_pipe.hpp"
#include "net/getaddrinfo.hpp"
#include "py/state.hpp"
#include "tls/openssl.hpp"
#include "tls/session_type.hpp"

namespace {

namespace py11 = pybind11;
using veloop::py::Ref;

void keep(Ref<PyTypeObject>& place, Ref<PyTypeObject> type) {
  if (!type) throw py11::error_already_set();
  place = std::move(type);
}

// The methods of the Loop type, from every layer. Made once; types of further module objects share it.
PyMethodDef* loop_methods() {
  static std::vector<PyMethodDef> all = [] {
    std::vector<PyMethodDef> methods;
    for (const auto* part :
         {&veloop::core::scheduling_methods(), &veloop::core::task_methods(),
          &veloop::io::descriptor_methods(), &veloop::io::stream_methods(), &veloop::io::listener_methods(),
          &veloop::io::datagram_methods(), &veloop::io::read_pipe_methods(),
          &veloop::io::write_pipe_methods(), &veloop::io::socket_methods(), &veloop::net::lookup_methods(),
          &veloop::tls::session_methods()}) {
      methods.insert(methods.end(), part->begin(), part->end());
    }
    methods.push_back({nullptr, nullptr, 0, nullptr});
    return methods;
  }();
  return all.data();
}

}  // namespace

PYBIND11_MODULE(_native, module) {
  module.doc() = "The native core of veloop.";
  veloop::py::State* state = veloop::py::attach_state(module.ptr());
  if (state == nullptr) throw py11::error_already_set();
  veloop::py::Types& types = state->types;
  keep(types.handle, veloop::core::make_handle_type(module.ptr()));
  keep(types.timer_handle, veloop::core::make_timer_handle_type(module.ptr()));
  keep(types.stream, veloop::io::make_stream_type(module.ptr()));
  keep(types.datagram, veloop::io::make_datagram_type(module.ptr()));
  keep(types.read_pipe, veloop::io::make_read_pipe_type(module.ptr()));
  keep(types.write_pipe, veloop::io::make_write_pipe_type(module.ptr()));
  keep(types.listener, veloop::io::make_listener_type(module.ptr()));
  keep(types.loop, veloop::core::make_loop_type(module.ptr(), loop_methods()));
  keep(types.socket_op, veloop::io::make_socket_op_type(module.ptr()));
  keep(types.tls_session, veloop::tls::make_session_type(module.ptr()));
  keep(types.lookup, veloop::net::make_lookup_type(module.ptr(), *state));
  for (PyTypeObject* type : {types.handle.get(), types.timer_handle.get(), types.loop.get(),
                             types.stream.get(), types.datagram.get(), types.read_pipe.get(),
                             types.write_pipe.get(), types.listener.get(), types.tls_session.get()}) {
    const py11::handle object(reinterpret_cast<PyObject*>(type));
    module.attr(object.attr("__name__")) = object;
  }
  module.def("load_openssl", &veloop::tls::load_openssl, py11::arg("module_file").none(true),
             py11::arg("version"),
             "Find the functions of the ssl module's OpenSSL; return whether they are there.");
  module.def("expect_ssl", &veloop::tls::forget_newest_ssl,
             "The next SSL object that this thread makes is for the next session.");
  module.attr("POLLER") = VELOOP_POLLER_NAME;
  module.attr("__version__") = VELOOP_VERSION;
  module.def(
      "libuv_version", [] { return py11::str(uv_version_string()); },
      "The version of libuv that is in use, such as '1.44.2'.");
}
