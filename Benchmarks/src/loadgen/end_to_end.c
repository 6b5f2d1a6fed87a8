// Mode e2e: one connection produces a record per request at a fixed rate (acks as given, no
// linger), another one long-polls for them. A record carries the instant at which it was meant to
// be sent; its latency ends when the consumer's recv has returned it.
//
// Both connections are in one thread: the machine then has one process more to wake, not two, and
// no clock is compared across cores.
#include <string.h>
#include <sys/epoll.h>

#include "../base/clock.h"
#include "../base/fail.h"
#include "../base/net.h"
#include "../kafka/fetch.h"
#include "../kafka/produce.h"
#include "loadgen.h"
#include "pipeline.h"
#include "stream.h"

#define RECORD_CAPACITY 8192
#define FETCH_BYTES_MAX (1u << 20)
// The value starts with the number of the record and the instant it was intended.
#define STAMP_BYTES 16

struct run {
  const struct settings *settings;
  struct topic topic;
  int epoll;
  struct pipeline producer;
  struct stream consumer;
  // One frame for each request in flight, because each batch differs.
  struct request_frame *frames;
  size_t batch_bytes, value_at, batch_at;
  uint64_t fetch_offset;
  uint32_t fetch_correlation;
  bool positioned;
  uint64_t start_ns, warm_ns, end_ns, last_ns;
  uint64_t received;
  struct measurement result;
};

static void build_frames(struct run *run) {
  const struct settings *settings = run->settings;
  uint8_t batch[RECORD_CAPACITY];
  if (settings->value_bytes < STAMP_BYTES || settings->value_bytes > RECORD_CAPACITY / 2) {
    fail("--value-bytes is %d to %d here", STAMP_BYTES, RECORD_CAPACITY / 2);
  }
  run->batch_bytes =
      batch_build_single(batch, sizeof batch, settings->value_bytes, &run->value_at);
  run->frames = allocate(settings->in_flight, sizeof *run->frames);
  for (uint64_t i = 0; i < settings->in_flight; i++) {
    struct produce_request request = {.acks = (int16_t)settings->acks, .batch = batch,
                                      .batch_bytes = (uint32_t)run->batch_bytes};
    size_t room = run->batch_bytes + PRODUCE_OVERHEAD_MAX;
    struct request_frame *frame = &run->frames[i];
    frame->bytes = allocate(1, room);
    frame->length = produce_request_write(frame->bytes, room, (uint16_t)settings->produce_version,
                                          &run->topic, &request);
  }
  const uint8_t *found = memmem(run->frames[0].bytes, run->frames[0].length, batch,
                                run->batch_bytes);
  if (!found) fail("bug: the batch is not in its frame");
  run->batch_at = (size_t)(found - run->frames[0].bytes);
}

static void send_fetch(struct run *run, uint32_t max_wait_ms) {
  uint8_t frame[FETCH_REQUEST_BYTES_MAX];
  struct fetch_request request = {.fetch_offset = run->fetch_offset, .max_wait_ms = max_wait_ms,
                                  .min_bytes = 1, .max_bytes = FETCH_BYTES_MAX,
                                  .partition_max_bytes = FETCH_BYTES_MAX};
  size_t length = fetch_request_write(frame, sizeof frame, (uint16_t)run->settings->fetch_version,
                                      &run->topic, &request);
  store32(frame + REQUEST_CORRELATION_AT, run->fetch_correlation);
  if (net_send(run->consumer.fd, frame, length, 0) != (ssize_t)length) fail("send of a fetch");
}

static void consume(struct run *run, const uint8_t *value, uint64_t now) {
  uint64_t number = load64(value), intended = load64(value + 8);
  if (number != run->received) {
    fail("record %lu arrived where %lu was next", number, run->received);
  }
  run->received++;
  run->result.requests_in_all++;
  run->result.bytes_in_all += run->batch_bytes;
  run->last_ns = now;
  if (intended < run->warm_ns) return;
  run->result.requests++;
  run->result.bytes += run->batch_bytes;
  histogram_add(&run->result.latency, now - intended);
}

static void consume_records(struct run *run, const uint8_t *bytes, size_t length, uint64_t now) {
  for (; length >= run->batch_bytes; bytes += run->batch_bytes, length -= run->batch_bytes) {
    struct batch_header header;
    if (!batch_header_read(bytes, length, &header) || header.length_bytes != run->batch_bytes ||
        header.base_offset != run->fetch_offset) {
      fail("no batch of this run at offset %lu", run->fetch_offset);
    }
    consume(run, bytes + run->value_at, now);
    run->fetch_offset++;
  }
}

static void fetched(void *context, const uint8_t *frame, size_t length) {
  struct run *run = context;
  uint64_t now = now_ns();
  struct reader reader = reader_over(frame, length);
  struct fetch_response response;
  if (!fetch_response_head_read(&reader, (uint16_t)run->settings->fetch_version, &response) ||
      response.records_bytes > reader_left(&reader) ||
      response.correlation_id != run->fetch_correlation++) {
    fail("the broker's Fetch response is malformed");
  }
  if (response.error_code != 0) {
    fail("Fetch: %s (%d)", error_name(response.error_code), response.error_code);
  }
  if (run->positioned) {
    consume_records(run, reader.at, response.records_bytes, now);
  } else {
    // The first answer only tells where the log ends; some brokers say nothing of an empty one.
    run->fetch_offset = response.has_partition ? response.high_watermark : 0;
    run->positioned = true;
  }
  send_fetch(run, (uint32_t)run->settings->max_wait_ms);
}

static void produced(void *context, struct pipeline *pipeline, const struct slot *slot,
                     const uint8_t *answer, size_t length) {
  struct run *run = context;
  (void)pipeline, (void)slot;
  struct produce_response response;
  if (!produce_response_read(answer, length, (uint16_t)run->settings->produce_version,
                             &response)) {
    fail("the broker's Produce response is malformed");
  }
  if (response.error_code != 0) {
    fail("Produce: %s (%d)", error_name(response.error_code), response.error_code);
  }
}

static uint64_t due_ns(const struct run *run) {
  return run->start_ns + run->producer.issued * NANOSECONDS_PER_SECOND / run->settings->rate;
}

static void produce_due(struct run *run) {
  for (uint64_t due = due_ns(run); due <= now_ns() && due < run->end_ns; due = due_ns(run)) {
    // What was issued before still has to leave.
    if (!pipeline_has_room(&run->producer)) break;
    uint64_t number = run->producer.issued;
    struct request_frame *frame = &run->frames[number % run->settings->in_flight];
    uint8_t *batch = frame->bytes + run->batch_at;
    store64(batch + run->value_at, number);
    store64(batch + run->value_at + 8, due);
    batch_seal(batch, run->batch_bytes);
    pipeline_issue(&run->producer, frame, due);
  }
  pipeline_flush(&run->producer);
}

static void handle_events(struct run *run, uint64_t until_ns) {
  struct epoll_event events[2];
  int count = wait_until(run->epoll, events, 2, until_ns);
  for (int i = 0; i < count; i++) {
    if (events[i].data.ptr == &run->consumer) {
      stream_receive(&run->consumer, fetched, run);
    } else {
      pipeline_receive(&run->producer, produced, run);
    }
  }
}

static void measure(struct run *run) {
  run->start_ns = run->last_ns = now_ns();
  run->warm_ns = run->start_ns + run->settings->warmup_ns;
  run->end_ns = run->start_ns + run->settings->duration_ns;
  for (;;) {
    produce_due(run);
    uint64_t now = now_ns();
    if (now > run->last_ns + run->settings->deadline_ns) fail("no record arrived in time");
    if (due_ns(run) >= run->end_ns && run->received == run->producer.issued &&
        pipeline_is_idle(&run->producer)) {
      return;
    }
    uint64_t until = run->last_ns + run->settings->deadline_ns;
    if (due_ns(run) < run->end_ns && pipeline_has_room(&run->producer)) until = due_ns(run);
    handle_events(run, until);
  }
}

void run_end_to_end(const struct settings *settings) {
  static struct run run;
  run.settings = settings;
  if (settings->rate == 0 || settings->duration_ns == 0 || settings->acks == 0) {
    fail("e2e needs --rate, --seconds and acks other than 0");
  }
  run.topic = prepare_topic(settings);
  if (run.topic.partitions != 1) fail("e2e needs a topic of one partition");
  build_frames(&run);
  run.epoll = epoll_new();
  pipeline_open(&run.producer, net_connect(settings->address, (uint16_t)settings->port), run.epoll,
                settings->in_flight);
  stream_open(&run.consumer, net_connect(settings->address, (uint16_t)settings->port), false,
              FETCH_BYTES_MAX + RECORD_CAPACITY);
  epoll_add(run.epoll, run.consumer.fd, EPOLLIN, &run.consumer);
  uint64_t deadline = now_ns() + settings->deadline_ns;
  send_fetch(&run, 0);
  while (!run.positioned) {
    if (now_ns() > deadline) fail("no answer in time");
    handle_events(&run, deadline);
  }
  measure(&run);
  run.result.started_ns = run.warm_ns;
  run.result.ended_ns = run.last_ns;
  measurement_print("e2e", &run.result);
}
