// As much of RFC 6455 as a client needs that sends one message again and again.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { kWebSocketMask = 4, kWebSocketHeader = 10 + kWebSocketMask };  // the longest header

static const char kWebSocketHandshake[] =
    "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

static inline bool websocket_accepted(const char* response, size_t size) {
  return size > 12 && !memcmp(response, "HTTP/1.1 101", 12) && !memcmp(response + size - 4, "\r\n\r\n", 4);
}

// Puts the header of a binary frame in front of the payload; returns its size. The mask is zero: the payload
// stays.
static inline size_t websocket_frame(char* payload, uint64_t size) {
  size_t length_bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;
  size_t used = 2 + length_bytes + kWebSocketMask;
  unsigned char* header = (unsigned char*)payload - used;
  memset(header, 0, used);
  header[0] = 0x82;
  header[1] = (unsigned char)(0x80 | (length_bytes == 0 ? size : length_bytes == 2 ? 126 : 127));
  for (size_t index = 0; index < length_bytes; index++) {
    header[2 + index] = (unsigned char)(size >> (8 * (length_bytes - 1 - index)));
  }
  return used;
}
