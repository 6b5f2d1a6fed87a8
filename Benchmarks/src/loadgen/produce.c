// Mode produce: requests of one batch each, spread over the partitions and connections.
//
// Closed loop: as many in flight as allowed, and a request is intended when it is issued.
// Open loop (--rate): request n is intended at n / rate from the start, whether or not the broker
// keeps up; what it waits for a slot or for the socket is part of its latency.
#include "../kafka/produce.h"

#include <stdlib.h>
#include <sys/epoll.h>

#include "../base/clock.h"
#include "../base/fail.h"
#include "../base/net.h"
#include "loadgen.h"
#include "pipeline.h"

#define EVENTS_MAX 64

struct producer {
  const struct settings *settings;
  struct topic topic;
  struct request_frame *frames;  // one for each partition
  struct request_frame *last_frames;  // the same with acks=1
  size_t batch_bytes;
  struct pipeline *pipelines;
  int epoll;
  uint64_t start_ns, warm_ns, end_ns, requests_max;
  uint64_t issued;
  uint64_t last_answer_ns;
  struct measurement result;
};

static struct request_frame *build_frames(struct producer *producer, int16_t acks) {
  const struct settings *settings = producer->settings;
  size_t capacity = settings->batch_bytes ? settings->batch_bytes : settings->value_bytes + 128;
  uint8_t *batch = allocate(1, capacity);
  size_t value_at;
  if (settings->batch_bytes) {
    batch_build(batch, capacity, settings->value_bytes);
    producer->batch_bytes = capacity;
  } else {
    producer->batch_bytes = batch_build_single(batch, capacity, settings->value_bytes, &value_at);
  }
  struct request_frame *frames = allocate(producer->topic.partitions, sizeof *frames);
  for (uint32_t partition = 0; partition < producer->topic.partitions; partition++) {
    struct produce_request request = {.acks = acks, .partition = partition, .batch = batch,
                                      .batch_bytes = (uint32_t)producer->batch_bytes};
    size_t room = producer->batch_bytes + PRODUCE_OVERHEAD_MAX;
    frames[partition].bytes = allocate(1, room);
    frames[partition].length =
        produce_request_write(frames[partition].bytes, room, (uint16_t)settings->produce_version,
                              &producer->topic, &request);
  }
  free(batch);
  return frames;
}

static void completed(struct producer *producer, const struct slot *slot, uint64_t now) {
  struct measurement *result = &producer->result;
  result->requests_in_all++;
  result->bytes_in_all += producer->batch_bytes;
  producer->last_answer_ns = now;
  if (now < producer->warm_ns) return;
  result->requests++;
  result->bytes += producer->batch_bytes;
  if (slot->intended_ns >= producer->warm_ns) {
    histogram_add(&result->latency, now - slot->intended_ns);
  }
}

static void answered(void *context, struct pipeline *pipeline, const struct slot *slot,
                     const uint8_t *answer, size_t length) {
  struct producer *producer = context;
  (void)pipeline;
  struct produce_response response;
  if (!produce_response_read(answer, length, (uint16_t)producer->settings->produce_version,
                             &response)) {
    fail("the broker's Produce response is malformed");
  }
  if (response.error_code != 0) {
    fail("Produce to partition %u: %s (%d)", response.partition, error_name(response.error_code),
         response.error_code);
  }
  completed(producer, slot, now_ns());
}

// With acks=0 a request is done when the socket has taken it.
static void complete_sent(struct producer *producer, struct pipeline *pipeline) {
  if (producer->settings->acks != 0) return;
  uint64_t now = now_ns();
  for (; pipeline->answered != pipeline->unsent; pipeline->answered++) {
    completed(producer, &pipeline->slots[pipeline->answered % pipeline->capacity], now);
  }
}

static bool finished(const struct producer *producer, uint64_t now) {
  return (producer->requests_max && producer->issued >= producer->requests_max) ||
         (producer->end_ns && now >= producer->end_ns);
}

// When the connection's next request is intended.
static uint64_t due_ns(const struct producer *producer, const struct pipeline *pipeline) {
  uint64_t connections = producer->settings->connections;
  uint64_t position = (uint64_t)(pipeline - producer->pipelines);
  uint64_t number = pipeline->issued * connections + position;
  return producer->start_ns + number * NANOSECONDS_PER_SECOND / producer->settings->rate;
}

// Issues what the connection may issue now, and sends it.
static void fill(struct producer *producer, struct pipeline *pipeline) {
  const struct settings *settings = producer->settings;
  do {
    while (pipeline_has_room(pipeline)) {
      uint64_t now = now_ns();
      uint64_t intended = settings->rate ? due_ns(producer, pipeline) : now;
      if (intended > now || finished(producer, now)) break;
      uint64_t spread = (uint64_t)(pipeline - producer->pipelines) + pipeline->issued;
      pipeline_issue(pipeline, &producer->frames[spread % producer->topic.partitions], intended);
      producer->issued++;
    }
    pipeline_flush(pipeline);
    complete_sent(producer, pipeline);
    // Without answers nothing else would call again while the socket has room.
  } while (settings->acks == 0 && settings->rate == 0 && !pipeline->wants_out &&
           !finished(producer, now_ns()));
}

static uint64_t next_instant(const struct producer *producer, bool issuing) {
  uint64_t next = producer->last_answer_ns + producer->settings->deadline_ns;
  if (!issuing) return next;
  if (producer->end_ns && producer->end_ns < next) next = producer->end_ns;
  if (producer->settings->rate == 0) return next;
  for (uint64_t i = 0; i < producer->settings->connections; i++) {
    const struct pipeline *pipeline = &producer->pipelines[i];
    if (!pipeline_has_room(pipeline)) continue;
    uint64_t due = due_ns(producer, pipeline);
    if (due < next) next = due;
  }
  return next;
}

static void handle_events(struct producer *producer, bool issuing) {
  struct epoll_event events[EVENTS_MAX];
  int count = wait_until(producer->epoll, events, EVENTS_MAX, next_instant(producer, issuing));
  for (int i = 0; i < count; i++) {
    struct pipeline *pipeline = events[i].data.ptr;
    if (events[i].events & ~(uint32_t)EPOLLOUT) pipeline_receive(pipeline, answered, producer);
    if (issuing) {
      fill(producer, pipeline);
    } else {
      pipeline_flush(pipeline);
      complete_sent(producer, pipeline);
    }
  }
  if (issuing && producer->settings->rate) {
    for (uint64_t c = 0; c < producer->settings->connections; c++) {
      fill(producer, &producer->pipelines[c]);
    }
  }
  if (now_ns() >= producer->last_answer_ns + producer->settings->deadline_ns) {
    fail("no answer in time");
  }
}

static void drain(struct producer *producer, struct pipeline *pipeline) {
  while (!pipeline_is_idle(pipeline)) handle_events(producer, false);
}

// With acks=0 the run ends when the broker has answered a last request on every connection, which
// it does after all that came before.
static void run_last(struct producer *producer) {
  const struct settings *settings = producer->settings;
  struct settings answering = *settings;
  answering.acks = 1;
  producer->settings = &answering;
  producer->last_answer_ns = now_ns();
  for (uint64_t i = 0; i < answering.connections; i++) {
    pipeline_issue(&producer->pipelines[i], &producer->last_frames[0], now_ns());
    pipeline_flush(&producer->pipelines[i]);
  }
  for (uint64_t i = 0; i < answering.connections; i++) drain(producer, &producer->pipelines[i]);
  producer->settings = settings;
}

static void open_connections(struct producer *producer) {
  const struct settings *settings = producer->settings;
  producer->epoll = epoll_new();
  producer->pipelines = allocate(settings->connections, sizeof *producer->pipelines);
  for (uint64_t i = 0; i < settings->connections; i++) {
    int fd = net_connect(settings->address, (uint16_t)settings->port);
    pipeline_open(&producer->pipelines[i], fd, producer->epoll, settings->in_flight);
  }
}

static void set_limits(struct producer *producer) {
  const struct settings *settings = producer->settings;
  producer->start_ns = producer->last_answer_ns = now_ns();
  producer->warm_ns = producer->start_ns + settings->warmup_ns;
  if (settings->duration_ns) producer->end_ns = producer->start_ns + settings->duration_ns;
  producer->requests_max = settings->requests;
  if (settings->bytes) producer->requests_max = settings->bytes / producer->batch_bytes;
  if (producer->end_ns == 0 && producer->requests_max == 0) {
    fail("one of --seconds, --requests and --bytes must say when to stop");
  }
}

void run_produce(const struct settings *settings) {
  static struct producer producer;
  producer.settings = settings;
  producer.topic = prepare_topic(settings);
  producer.frames = build_frames(&producer, (int16_t)settings->acks);
  if (settings->acks == 0) producer.last_frames = build_frames(&producer, 1);
  open_connections(&producer);
  set_limits(&producer);
  for (uint64_t i = 0; i < settings->connections; i++) fill(&producer, &producer.pipelines[i]);
  while (!finished(&producer, now_ns())) handle_events(&producer, true);
  for (uint64_t i = 0; i < settings->connections; i++) drain(&producer, &producer.pipelines[i]);
  if (settings->acks == 0) run_last(&producer);
  producer.result.started_ns = producer.warm_ns;
  producer.result.ended_ns = producer.last_answer_ns;
  measurement_print("produce", &producer.result);
}
