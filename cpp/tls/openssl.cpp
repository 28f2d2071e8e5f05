#include "tls/openssl.hpp"

#include <dlfcn.h>

#include <mutex>

namespace veloop::tls {
namespace {

// The process has one libssl behind the ssl module, and OpenSSL wants its callbacks registered once.
OpenSsl functions;
std::once_flag once;
bool loaded = false;

thread_local Ssl* newest = nullptr;

void remember(void* parent, void*, void*, int, long, void*) { newest = static_cast<Ssl*>(parent); }
void forget(void* parent, void*, void*, int, long, void*) {
  if (newest == parent) newest = nullptr;
}

bool find_functions(const char* module_file) noexcept {
  // Through the module's own handle dlsym() sees that module, and then what it was linked with.
  void* handle = module_file != nullptr ? ::dlopen(module_file, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD)
                                        : ::dlopen(nullptr, RTLD_NOW);
  if (handle == nullptr) return false;
#define VELOOP_FIND(name, result, parameters)                                      \
  functions.name = reinterpret_cast<result(*) parameters>(::dlsym(handle, #name)); \
  if (functions.name == nullptr) return false;
  VELOOP_OPENSSL_FUNCTIONS(VELOOP_FIND)
#undef VELOOP_FIND
  return true;  // The handle is kept: what it leads to must stay.
}

bool load(const char* module_file, unsigned long version) noexcept {
  constexpr int kClassOfSsl = 0;  // CRYPTO_EX_INDEX_SSL
  return find_functions(module_file) && functions.OpenSSL_version_num() == version &&
         functions.CRYPTO_get_ex_new_index(kClassOfSsl, 0, nullptr, &remember, nullptr, &forget) >= 0;
}

}  // namespace

bool load_openssl(const char* module_file, unsigned long version) noexcept {
  std::call_once(once, [&] { loaded = load(module_file, version); });
  return loaded;
}

const OpenSsl& openssl() noexcept { return functions; }

void forget_newest_ssl() noexcept { newest = nullptr; }
Ssl* newest_ssl() noexcept { return newest; }

}  // namespace veloop::tls
