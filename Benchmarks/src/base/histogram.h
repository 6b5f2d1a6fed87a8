// A histogram of latencies: 256 linear steps in each power of two, so a percentile is at most
// 0.4 % off, at any scale from a nanosecond to hours, in fixed memory.
#pragma once

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 8
#define HISTOGRAM_STEPS (1u << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS)

struct histogram {
  uint64_t counts[HISTOGRAM_BUCKETS];
  uint64_t count;
  uint64_t sum_ns;
  uint64_t max_ns;
};

void histogram_add(struct histogram *histogram, uint64_t value_ns);

// The smallest value that `share` (0 to 1) of all values do not exceed; 0 when there are none.
uint64_t histogram_percentile(const struct histogram *histogram, double share);

// Writes `"latency_us": {"mean": …, "p50": …, …}` to stdout.
void histogram_print(const struct histogram *histogram);
