// Topics before the measured part: create what is missing, wait until every partition has a
// leader; and the probe that times how soon a starting broker serves.
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/fail.h"
#include "../base/net.h"
#include "../kafka/admin.h"
#include "../kafka/produce.h"
#include "loadgen.h"

#define TOPIC_ALREADY_EXISTS 36
#define RETRY_US 500

static void check_version(int fd, enum api_key api_key, uint64_t version) {
  struct version_range range = admin_versions(fd, api_key);
  if (version < range.low || version > range.high) {
    fail("the broker serves versions %u to %u of API %d, not %llu", range.low, range.high,
         (int)api_key, (unsigned long long)version);
  }
}

static void create_topic(int fd, const char *name, uint64_t partitions) {
  int16_t error_code = admin_create_topic(fd, name, (uint32_t)partitions);
  if (error_code != 0 && error_code != TOPIC_ALREADY_EXISTS) {
    fail("CreateTopics %s: %s (%d)", name, error_name(error_code), error_code);
  }
}

static void await_topic(const struct settings *settings, int fd, uint16_t version,
                        struct topic *topic) {
  uint64_t deadline = now_ns() + settings->deadline_ns;
  bool broken = false;
  while (!admin_describe_topic(fd, version, topic, &broken)) {
    if (broken) fail("the broker closed the connection on Metadata");
    if (now_ns() > deadline) fail("topic %s has no leader in time", topic->name);
    usleep(RETRY_US);
  }
}

struct topic prepare_topic(const struct settings *settings) {
  struct topic topic = {.name = settings->topic_name,
                        .partitions = (uint32_t)settings->partitions};
  if (settings->raw) return topic;
  int fd = net_connect(settings->address, (uint16_t)settings->port);
  check_version(fd, API_PRODUCE, settings->produce_version);
  check_version(fd, API_FETCH, settings->fetch_version);
  uint16_t version = admin_metadata_version(fd);
  create_topic(fd, topic.name, settings->partitions);
  await_topic(settings, fd, version, &topic);
  close(fd);
  return topic;
}

void run_topics(const struct settings *settings) {
  int fd = net_connect(settings->address, (uint16_t)settings->port);
  uint16_t version = admin_metadata_version(fd);
  uint64_t started = now_ns();
  uint64_t count = settings->topics ? settings->topics : 1;
  for (uint64_t i = 0; i < count; i++) {
    char name[256];
    if (settings->topics) {
      snprintf(name, sizeof name, "%s-%llu", settings->topic_name, (unsigned long long)i);
    } else {
      snprintf(name, sizeof name, "%s", settings->topic_name);
    }
    create_topic(fd, name, settings->partitions);
    struct topic topic = {.name = name};
    await_topic(settings, fd, version, &topic);
  }
  printf("{\"mode\": \"topics\", \"topics\": %llu, \"seconds\": %.6f}\n",
         (unsigned long long)count, (double)(now_ns() - started) / 1e9);
}

// One produce of one record, on a blocking connection. False when anything is not as it should be.
static bool produce_once(const struct settings *settings, int fd, const struct topic *topic,
                         uint32_t partition) {
  uint8_t batch[512], frame[sizeof batch + PRODUCE_OVERHEAD_MAX];
  size_t value_at;
  struct produce_request request = {.acks = 1, .partition = partition, .batch = batch};
  request.batch_bytes = (uint32_t)batch_build_single(batch, sizeof batch, 100, &value_at);
  uint16_t version = (uint16_t)settings->produce_version;
  size_t length = produce_request_write(frame, sizeof frame, version, topic, &request);
  set_blocking(fd, true);
  bool good = false;
  if (net_send(fd, frame, length, 0) == (ssize_t)length &&
      net_recv(fd, frame, FRAME_LENGTH_BYTES, MSG_WAITALL) == FRAME_LENGTH_BYTES) {
    size_t body = load32(frame);
    struct produce_response response;
    good = body <= sizeof frame && net_recv(fd, frame, body, MSG_WAITALL) == (ssize_t)body &&
           produce_response_read(frame, body, version, &response) && response.error_code == 0;
  }
  set_blocking(fd, false);
  return good;
}

// One connection's worth of trying. Fills in the instants that were reached.
static bool probe_connection(const struct settings *settings, int fd, struct topic *topic,
                             uint64_t *metadata_ns, uint64_t deadline) {
  for (bool broken = false; !broken && now_ns() < deadline; usleep(RETRY_US)) {
    if (!admin_describe_topic(fd, 12, topic, &broken)) continue;
    if (topic->partitions < settings->partitions) continue;
    if (*metadata_ns == 0) *metadata_ns = now_ns();
    if (produce_once(settings, fd, topic, topic->partitions - 1)) return true;
  }
  return false;
}

void run_probe(const struct settings *settings) {
  uint64_t deadline = now_ns() + settings->deadline_ns;
  uint64_t connected_ns = 0, metadata_ns = 0;
  struct topic topic = {.name = settings->topic_name};
  for (;; usleep(RETRY_US)) {
    if (now_ns() > deadline) fail("the broker was not ready in time");
    int fd = net_try_connect(settings->address, (uint16_t)settings->port);
    if (fd < 0) continue;
    if (connected_ns == 0) connected_ns = now_ns();
    bool done = probe_connection(settings, fd, &topic, &metadata_ns, deadline);
    close(fd);
    if (done) break;
  }
  printf("{\"mode\": \"probe\", \"connected_ns\": %llu, \"metadata_ns\": %llu, "
         "\"produced_ns\": %llu, \"partitions\": %u}\n",
         (unsigned long long)connected_ns, (unsigned long long)metadata_ns,
         (unsigned long long)now_ns(), topic.partitions);
}
