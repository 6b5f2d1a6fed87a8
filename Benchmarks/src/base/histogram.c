#include "histogram.h"

#include <stdio.h>

// Values below 2 * STEPS have a bucket each; above, the top STEP_BITS + 1 bits choose it.
static unsigned bucket_of(uint64_t value) {
  if (value < 2 * HISTOGRAM_STEPS) return (unsigned)value;
  unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_STEP_BITS;
  return shift * HISTOGRAM_STEPS + (unsigned)(value >> shift);
}

static uint64_t bucket_top(unsigned bucket) {
  if (bucket < 2 * HISTOGRAM_STEPS) return bucket;
  unsigned shift = bucket / HISTOGRAM_STEPS - 1;
  uint64_t step = bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS;
  return ((step + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value_ns) {
  histogram->counts[bucket_of(value_ns)]++;
  histogram->count++;
  histogram->sum_ns += value_ns;
  if (value_ns > histogram->max_ns) histogram->max_ns = value_ns;
}

uint64_t histogram_percentile(const struct histogram *histogram, double share) {
  uint64_t wanted = (uint64_t)(share * (double)histogram->count + 0.5);
  if (wanted == 0) wanted = 1;
  uint64_t seen = 0;
  for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
    seen += histogram->counts[bucket];
    if (seen < wanted) continue;
    uint64_t top = bucket_top(bucket);
    return top < histogram->max_ns ? top : histogram->max_ns;
  }
  return 0;
}

static double percentile_us(const struct histogram *histogram, double share) {
  return (double)histogram_percentile(histogram, share) / 1e3;
}

void histogram_print(const struct histogram *histogram) {
  double mean = histogram->count ? (double)histogram->sum_ns / (double)histogram->count : 0;
  printf("\"latency_us\": {\"samples\": %llu, \"mean\": %.1f, \"p50\": %.1f, \"p90\": %.1f, "
         "\"p99\": %.1f, \"p99.9\": %.1f, \"max\": %.1f}",
         (unsigned long long)histogram->count, mean / 1e3, percentile_us(histogram, 0.5),
         percentile_us(histogram, 0.9), percentile_us(histogram, 0.99),
         percentile_us(histogram, 0.999), (double)histogram->max_ns / 1e3);
}
