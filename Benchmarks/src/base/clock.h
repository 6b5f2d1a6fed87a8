// Monotonic time in nanoseconds. CLOCK_MONOTONIC is the same for all processes of the machine (and
// is Python's time.monotonic_ns), so instants may be compared between programs.
#pragma once

#include <stdint.h>
#include <time.h>

#define NANOSECONDS_PER_SECOND 1000000000ull

static inline uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * NANOSECONDS_PER_SECOND + (uint64_t)time.tv_nsec;
}
