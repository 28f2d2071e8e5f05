#pragma once
// The functions of that OpenSSL which Python's own ssl module uses, found when the program runs.
//
// No headers of OpenSSL, and nothing linked: a second copy of the library could not share its objects with
// the ssl module. Whoever lacks a function, or is another library, is not used.
#include <cstddef>

namespace veloop::tls {

// OpenSSL's own, of which only pointers are known here.
struct Ssl;
struct Bio;
struct BioMethod;
using ExDataNew = void(void* parent, void* value, void* data, int index, long number, void* pointer);

// clang-format off
#define VELOOP_OPENSSL_FUNCTIONS(X)                                                              \
  X(OpenSSL_version_num, unsigned long, ())                                                      \
  X(CRYPTO_get_ex_new_index, int, (int, long, void*, ExDataNew*, void*, ExDataNew*))             \
  X(ERR_clear_error, void, ())                                                                   \
  X(SSL_get_ex_data, void*, (const Ssl*, int))                                                   \
  X(SSL_get_error, int, (const Ssl*, int))                                                       \
  X(SSL_read_ex, int, (Ssl*, void*, std::size_t, std::size_t*))                                  \
  X(SSL_write_ex, int, (Ssl*, const void*, std::size_t, std::size_t*))                           \
  X(SSL_set_bio, void, (Ssl*, Bio*, Bio*))                                                       \
  X(BIO_get_new_index, int, ())                                                                  \
  X(BIO_meth_new, BioMethod*, (int, const char*))                                                \
  X(BIO_meth_set_read_ex, int, (BioMethod*, int (*)(Bio*, char*, std::size_t, std::size_t*)))    \
  X(BIO_meth_set_write_ex, int, (BioMethod*, int (*)(Bio*, const char*, std::size_t, std::size_t*))) \
  X(BIO_meth_set_ctrl, int, (BioMethod*, long (*)(Bio*, int, long, void*)))                      \
  X(BIO_new, Bio*, (const BioMethod*))                                                           \
  X(BIO_up_ref, int, (Bio*))                                                                     \
  X(BIO_free, int, (Bio*))                                                                       \
  X(BIO_set_data, void, (Bio*, void*))                                                           \
  X(BIO_get_data, void*, (Bio*))                                                                 \
  X(BIO_set_init, void, (Bio*, int))                                                             \
  X(BIO_set_flags, void, (Bio*, int))                                                            \
  X(BIO_clear_flags, void, (Bio*, int))
// clang-format on

struct OpenSsl {
#define VELOOP_DECLARE(name, result, parameters) result(*name) parameters = nullptr;
  VELOOP_OPENSSL_FUNCTIONS(VELOOP_DECLARE)
#undef VELOOP_DECLARE
};

// What SSL_get_error() returns.
enum class SslError : int { kSsl = 1, kWantRead = 2, kWantWrite = 3, kSyscall = 5, kZeroReturn = 6 };

// Finds the functions, once per process. `module_file` is that of the `_ssl` module, null if it is built in;
// `version` is ssl.OPENSSL_VERSION_NUMBER. False if anything is not as expected.
[[nodiscard]] bool load_openssl(const char* module_file, unsigned long version) noexcept;

// After load_openssl() has returned true.
[[nodiscard]] const OpenSsl& openssl() noexcept;

// From here on, until the next call, newest_ssl() is the SSL object that this thread has made last; null if
// it made none, or it is gone.
void forget_newest_ssl() noexcept;
[[nodiscard]] Ssl* newest_ssl() noexcept;

}  // namespace veloop::tls
