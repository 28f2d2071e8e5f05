#pragma once
// The result of a libuv call: 0 or more is success, below 0 is -errno.
#include <uv.h>

namespace veloop::uv {

class [[nodiscard]] Status {
 public:
  constexpr Status(int code) noexcept : code_(code) {}  // NOLINT(google-explicit-constructor)
  [[nodiscard]] constexpr bool ok() const noexcept { return code_ >= 0; }
  // As an errno (libuv's codes are negated errnos on Unix); 0 when ok.
  [[nodiscard]] constexpr int error_number() const noexcept { return ok() ? 0 : -code_; }

 private:
  int code_;
};

}  // namespace veloop::uv
