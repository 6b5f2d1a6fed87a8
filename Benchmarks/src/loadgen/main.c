// loadgen MODE [options]: a raw Kafka load generator. Requests are built before the clock starts
// and are pipelined, so that the broker is what is measured.
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "../base/clock.h"
#include "../base/fail.h"
#include "../base/options.h"
#include "../kafka/fetch.h"
#include "../kafka/produce.h"
#include "loadgen.h"

static const char usage[] =
    "loadgen MODE --port N [options]\n\n"
    "  produce   one batch per request; throughput and latency from the intended send time\n"
    "  fetch     read partitions from offset 0 to the end, over and over\n"
    "  e2e       produce one record per request at --rate; latency until a consumer has it\n"
    "  topics    create --topics topics (NAME-0, NAME-1, ...), or one topic NAME\n"
    "  probe     wait until the topic's metadata and a produce succeed; print the instants";

static const struct {
  const char *name;
  mode_function *run;
} modes[] = {{"produce", run_produce},
             {"fetch", run_fetch},
             {"e2e", run_end_to_end},
             {"topics", run_topics},
             {"probe", run_probe}};

static struct settings settings = {
    .address = "127.0.0.1",
    .topic_name = "bench",
    .partitions = 1,
    .produce_version = 9,
    .fetch_version = 12,
    .connections = 1,
    .in_flight = 1,
    .batch_bytes = 64 << 10,
    .value_bytes = 1000,
    .acks = 1,
    .max_bytes = 50 << 20,
    .partition_max_bytes = 1 << 20,
    .min_bytes = 1,
    .max_wait_ms = 500,
    .deadline_ns = 60 * NANOSECONDS_PER_SECOND,
};

static const struct option_row rows[] = {
    {"address", OPTION_TEXT, &settings.address, "IPv4 address of the broker (127.0.0.1)"},
    {"port", OPTION_NUMBER, &settings.port, "its port"},
    {"topic", OPTION_TEXT, &settings.topic_name, "topic to use, created if missing (bench)"},
    {"partitions", OPTION_NUMBER, &settings.partitions, "partitions of a topic to create (1)"},
    {"topics", OPTION_NUMBER, &settings.topics, "topics: how many to create"},
    {"raw", OPTION_FLAG, &settings.raw, "the peer is a limit program: skip the setup"},
    {"produce-version", OPTION_NUMBER, &settings.produce_version, "3 to 13 (9)"},
    {"fetch-version", OPTION_NUMBER, &settings.fetch_version, "4 to 17 (12)"},
    {"connections", OPTION_NUMBER, &settings.connections, "connections (1)"},
    {"in-flight", OPTION_NUMBER, &settings.in_flight, "requests in flight on each (1)"},
    {"rate", OPTION_NUMBER, &settings.rate, "requests/s; without it, as fast as answered"},
    {"requests", OPTION_NUMBER, &settings.requests, "stop after so many requests"},
    {"bytes", OPTION_NUMBER, &settings.bytes, "stop after so many bytes of batches"},
    {"seconds", OPTION_SECONDS, &settings.duration_ns, "stop after so long"},
    {"warmup", OPTION_SECONDS, &settings.warmup_ns, "leave the first seconds out of the figures"},
    {"batch-bytes", OPTION_NUMBER, &settings.batch_bytes, "size of a batch; 0: one record (64K)"},
    {"value-bytes", OPTION_NUMBER, &settings.value_bytes, "size of a record's value (1000)"},
    {"acks", OPTION_SIGNED, &settings.acks, "0, 1 or -1 (1)"},
    {"max-bytes", OPTION_NUMBER, &settings.max_bytes, "fetch: limit of a response (50M)"},
    {"partition-max-bytes", OPTION_NUMBER, &settings.partition_max_bytes,
     "fetch: limit of a partition (1M)"},
    {"min-bytes", OPTION_NUMBER, &settings.min_bytes, "fetch: wait for so many bytes (1)"},
    {"max-wait-ms", OPTION_NUMBER, &settings.max_wait_ms, "fetch: but not longer (500)"},
    {"copy", OPTION_FLAG, &settings.copy, "fetch: copy what is received instead of discarding it"},
    {"check", OPTION_FLAG, &settings.check, "fetch: copy, and check every batch's CRC and offset"},
    {"deadline", OPTION_SECONDS, &settings.deadline_ns, "give up after so long without an answer"},
    {0},
};

static void check(void) {
  if (settings.port == 0 || settings.port > UINT16_MAX) fail("--port is missing or no port");
  if (settings.connections == 0 || settings.in_flight == 0 || settings.partitions == 0) {
    fail("--connections, --in-flight and --partitions are at least 1");
  }
  if (settings.produce_version < PRODUCE_VERSION_MIN ||
      settings.produce_version > PRODUCE_VERSION_MAX) {
    fail("--produce-version is %d to %d", PRODUCE_VERSION_MIN, PRODUCE_VERSION_MAX);
  }
  if (settings.fetch_version < FETCH_VERSION_MIN || settings.fetch_version > FETCH_VERSION_MAX) {
    fail("--fetch-version is %d to %d", FETCH_VERSION_MIN, FETCH_VERSION_MAX);
  }
  if (settings.acks < -1 || settings.acks > 1) fail("--acks is 0, 1 or -1");
}

int main(int count, char **arguments) {
  if (count < 2 || strcmp(arguments[1], "--help") == 0) {
    options_read(1, (char *[]){"--help"}, usage, rows);
  }
  options_read(count - 2, arguments + 2, usage, rows);
  check();
  // The default slack of 50 us would be part of every latency measured from an intended time.
  prctl(PR_SET_TIMERSLACK, 1ul);
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    if (strcmp(arguments[1], modes[i].name) != 0) continue;
    modes[i].run(&settings);
    return 0;
  }
  fail("unknown mode %s; --help lists what there is", arguments[1]);
}
