// The load generator: what its modes share. One thread, one epoll; a mode runs once and prints one
// JSON object.
#pragma once

#include "../base/histogram.h"
#include "../kafka/topic.h"

struct settings {
  const char *address;
  uint64_t port;
  const char *topic_name;
  uint64_t partitions;
  uint64_t topics;
  bool raw;  // the peer is one of the limit programs: no setup, topic id zero
  uint64_t produce_version, fetch_version;
  // How much load, and until when; 0 means "not limited by this".
  uint64_t connections, in_flight;
  uint64_t rate;  // requests per second over all connections; 0 for a closed loop
  uint64_t requests, bytes, duration_ns, warmup_ns;
  // Produce.
  uint64_t batch_bytes, value_bytes;
  int64_t acks;
  // Fetch.
  uint64_t max_bytes, partition_max_bytes, min_bytes, max_wait_ms;
  bool copy, check;
  uint64_t deadline_ns;
};

// What a mode measured, counted after the warm-up.
struct measurement {
  uint64_t requests, bytes;
  uint64_t started_ns, ended_ns;
  uint64_t requests_in_all, bytes_in_all;
  struct histogram latency;
};

typedef void mode_function(const struct settings *settings);
mode_function run_produce, run_fetch, run_end_to_end, run_topics, run_probe;

// Sets the topic up (unless raw) and returns it with its id and number of partitions.
struct topic prepare_topic(const struct settings *settings);

// Allocates, or ends the program.
void *allocate(size_t count, size_t bytes);

// Waits for events until `until_ns` (0: for ever) on the monotonic clock, with nanoseconds.
struct epoll_event;
int wait_until(int epoll, struct epoll_event *events, int capacity, uint64_t until_ns);

void measurement_print(const char *mode, const struct measurement *measurement);
