#pragma once
// Channel: what an SSL object reads from and writes to instead of a socket; a BIO, as OpenSSL calls it.
//
// It reads what was given to feed(), where that lies: nothing is copied, unless something is left when the
// memory is to be used for something else. What it is written goes into a buffer of its own, or into one that
// is lent for a moment. The SSL object, which may live longer, keeps its BIO: it then finds nothing there.
#include <cstddef>
#include <vector>

#include "tls/openssl.hpp"

namespace veloop::tls {

class Channel {
 public:
  Channel() = default;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel();

  // Makes the BIO and gives it to `ssl`, in place of those that it has. False if there is no memory.
  [[nodiscard]] bool open(Ssl* ssl) noexcept;

  // -- what was received: may throw std::bad_alloc -----------------------------------------------------
  // `data` must stay until keep_rest().
  void feed(const char* data, std::size_t count);
  // Copies what was not read yet.
  void keep_rest();
  [[nodiscard]] std::size_t unread() const noexcept { return unread_; }

  // -- what is to be sent --------------------------------------------------------------------------------
  [[nodiscard]] std::vector<char>& output() noexcept { return output_; }
  // From here on the output goes into `buffer`, behind what was there; null: into the channel's own.
  void divert_output(std::vector<char>* buffer) noexcept { diverted_ = buffer; }

 private:
  static BioMethod* method() noexcept;
  static int read(Bio* bio, char* buffer, std::size_t size, std::size_t* count);
  static int write(Bio* bio, const char* data, std::size_t size, std::size_t* count);
  static long control(Bio* bio, int command, long number, void* pointer);
  [[nodiscard]] bool is_kept() const noexcept;

  Bio* bio_ = nullptr;
  const char* next_ = nullptr;
  std::size_t unread_ = 0;
  std::vector<char> kept_;
  std::vector<char> output_;
  std::vector<char>* diverted_ = nullptr;
};

}  // namespace veloop::tls
