// What the modes share: waiting, allocation, and the printed result.
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "../base/clock.h"
#include "../base/fail.h"
#include "loadgen.h"

void *allocate(size_t count, size_t bytes) {
  void *memory = calloc(count, bytes);
  if (!memory) fail_errno("allocate %zu bytes", count * bytes);
  return memory;
}

int wait_until(int epoll, struct epoll_event *events, int capacity, uint64_t until_ns) {
  struct timespec timeout = {0};
  if (until_ns != 0) {
    uint64_t now = now_ns();
    uint64_t left = until_ns > now ? until_ns - now : 0;
    timeout.tv_sec = (time_t)(left / NANOSECONDS_PER_SECOND);
    timeout.tv_nsec = (long)(left % NANOSECONDS_PER_SECOND);
  }
  int count = epoll_pwait2(epoll, events, capacity, until_ns ? &timeout : NULL, NULL);
  return count < 0 ? 0 : count;
}

static double cpu_seconds(struct timeval time) {
  return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

void measurement_print(const char *mode, const struct measurement *measurement) {
  double seconds = (double)(measurement->ended_ns - measurement->started_ns) / 1e9;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("{\"mode\": \"%s\", \"requests\": %llu, \"bytes\": %llu, \"seconds\": %.6f, "
         "\"requests_per_second\": %.1f, \"bytes_per_second\": %.0f, "
         "\"requests_in_all\": %llu, \"bytes_in_all\": %llu, \"generator_cpu_seconds\": %.3f, ",
         mode, (unsigned long long)measurement->requests, (unsigned long long)measurement->bytes,
         seconds, seconds > 0 ? (double)measurement->requests / seconds : 0,
         seconds > 0 ? (double)measurement->bytes / seconds : 0,
         (unsigned long long)measurement->requests_in_all,
         (unsigned long long)measurement->bytes_in_all,
         cpu_seconds(usage.ru_utime) + cpu_seconds(usage.ru_stime));
  histogram_print(&measurement->latency);
  printf("}\n");
}
