// A fixed-size latency histogram: 64 buckets per power of two (1.6 % wide), so that recording is one
// increment, never an allocation, and a percentile is one walk.
#pragma once
#include <stdint.h>
#include <string.h>

enum { kSubBits = 6, kSub = 1 << kSubBits, kBuckets = (64 - kSubBits) * kSub };

typedef struct {
  uint64_t count;
  uint64_t bucket[kBuckets];
} Histogram;

static inline int histogram_index(uint64_t value) {
  if (value < kSub) return (int)value;
  int shift = 63 - __builtin_clzll(value) - kSubBits;
  return (shift + 1) * kSub + (int)((value >> shift) - kSub);
}

// The middle of the bucket: the inverse of histogram_index up to the bucket's width.
static inline uint64_t histogram_value(int index) {
  if (index < kSub) return (uint64_t)index;
  int shift = index / kSub - 1;
  uint64_t low = (uint64_t)(index % kSub + kSub) << shift;
  return low + ((1ull << shift) >> 1);
}

static inline void histogram_clear(Histogram* histogram) { memset(histogram, 0, sizeof *histogram); }

static inline void histogram_add(Histogram* histogram, uint64_t value) {
  histogram->count++;
  histogram->bucket[histogram_index(value)]++;
}

static inline uint64_t histogram_percentile(const Histogram* histogram, double percent) {
  uint64_t rank = (uint64_t)((double)histogram->count * percent / 100.0);
  uint64_t seen = 0;
  for (int index = 0; index < kBuckets; index++) {
    seen += histogram->bucket[index];
    if (seen > rank) return histogram_value(index);
  }
  return 0;
}
