// Mode fetch: every connection reads its partition from offset 0 to the high watermark and starts
// again, so that a log in the page cache serves any amount of load. With --in-flight F, a
// connection has F such readers ("lanes") of its own, each with one request out.
//
// With --rate one reader waits before each request until it is due, as a consumer does that has
// something to do with its records.
//
// Each response must continue exactly where the last one ended. When records are discarded only
// the first batch of a response is seen; where the response ends is computed from the fact that
// this program's batches are all alike, and the next response proves it.
#include "../kafka/fetch.h"

#include <sys/epoll.h>

#include "../base/clock.h"
#include "../base/fail.h"
#include "../base/net.h"
#include "loadgen.h"
#include "stream.h"

#define EVENTS_MAX 64
#define RESPONSE_OVERHEAD_MAX (4u << 20)  // a batch may be larger than the limit

struct lane {
  uint64_t offset;
  uint64_t sent_ns;
  uint32_t partition;
};

struct consumer {
  struct fetcher *fetcher;
  struct stream stream;
  struct lane *lanes;
  uint64_t next_lane;  // whose response comes next: responses arrive in order
  uint32_t correlation_id;
};

struct fetcher {
  const struct settings *settings;
  struct topic topic;
  uint16_t version;
  struct consumer *consumers;
  int epoll;
  uint64_t warm_ns, end_ns, last_ns;
  bool stopping;
  uint64_t outstanding;
  uint64_t start_ns, issued;
  struct measurement result;
};

// Nothing else is to be done meanwhile: there is only one reader.
static void await_turn(struct fetcher *fetcher) {
  uint64_t rate = fetcher->settings->rate;
  if (rate == 0) return;
  uint64_t due = fetcher->start_ns + fetcher->issued * NANOSECONDS_PER_SECOND / rate;
  struct timespec time = {(time_t)(due / NANOSECONDS_PER_SECOND),
                          (long)(due % NANOSECONDS_PER_SECOND)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
  fetcher->issued++;
}

static void send_fetch(struct consumer *consumer, struct lane *lane, uint32_t correlation_id) {
  struct fetcher *fetcher = consumer->fetcher;
  const struct settings *settings = fetcher->settings;
  uint8_t frame[FETCH_REQUEST_BYTES_MAX];
  struct fetch_request request = {
      .partition = lane->partition,
      .fetch_offset = lane->offset,
      .max_wait_ms = (uint32_t)settings->max_wait_ms,
      .min_bytes = (uint32_t)settings->min_bytes,
      .max_bytes = (uint32_t)settings->max_bytes,
      .partition_max_bytes = (uint32_t)settings->partition_max_bytes,
  };
  size_t length =
      fetch_request_write(frame, sizeof frame, fetcher->version, &fetcher->topic, &request);
  store32(frame + REQUEST_CORRELATION_AT, correlation_id);
  await_turn(fetcher);
  lane->sent_ns = now_ns();
  // A few hundred bytes with as little in flight always fit the socket's buffer.
  if (net_send(consumer->stream.fd, frame, length, 0) != (ssize_t)length) {
    fail("a fetch request did not fit the socket: fewer in flight, please");
  }
  fetcher->outstanding++;
}

// The offset after the records, every batch of which is looked at.
static uint64_t walk_batches(const uint8_t *bytes, size_t length, uint64_t offset, bool check) {
  while (length >= BATCH_HEADER_BYTES) {
    struct batch_header header;
    if (!batch_header_read(bytes, length, &header)) fail("no batch at offset %lu", offset);
    if (header.length_bytes > length) break;
    if (header.base_offset != offset) {
      fail("a batch at offset %lu where %lu was next", header.base_offset, offset);
    }
    if (check && !batch_crc_holds(bytes, header.length_bytes)) {
      fail("bad CRC at offset %lu", offset);
    }
    offset += header.records;
    bytes += header.length_bytes;
    length -= header.length_bytes;
  }
  return offset;
}

// The offset after `records_bytes` of batches that are all like the first.
static uint64_t infer_end(const struct reader *reader, uint32_t records_bytes, uint64_t offset) {
  struct batch_header header;
  if (!batch_header_read(reader->at, reader_left(reader), &header)) {
    fail("no batch at offset %lu", offset);
  }
  if (header.base_offset != offset) {
    fail("a batch at offset %lu where %lu was next (--copy reads logs of unlike batches)",
         header.base_offset, offset);
  }
  return offset + records_bytes / header.length_bytes * header.records;
}

static void advance(struct consumer *consumer, struct lane *lane, const struct reader *reader,
                    const struct fetch_response *response) {
  const struct settings *settings = consumer->fetcher->settings;
  if (response->high_watermark == 0) fail("partition %u is empty", lane->partition);
  if (response->records_bytes == 0) fail("no records at offset %lu", lane->offset);
  uint64_t end;
  if (settings->check || settings->copy) {
    end = walk_batches(reader->at, response->records_bytes, lane->offset, settings->check);
  } else {
    end = infer_end(reader, response->records_bytes, lane->offset);
  }
  if (end == lane->offset) fail("no whole batch at offset %lu", lane->offset);
  lane->offset = end >= response->high_watermark ? 0 : end;
}

static void count(struct fetcher *fetcher, const struct lane *lane, uint32_t bytes) {
  struct measurement *result = &fetcher->result;
  uint64_t now = fetcher->last_ns = now_ns();
  result->requests_in_all++;
  result->bytes_in_all += bytes;
  const struct settings *settings = fetcher->settings;
  if ((fetcher->end_ns && now >= fetcher->end_ns) ||
      (settings->bytes && result->bytes_in_all >= settings->bytes) ||
      (settings->requests && result->requests_in_all >= settings->requests)) {
    fetcher->stopping = true;
  }
  if (now < fetcher->warm_ns) return;
  result->requests++;
  result->bytes += bytes;
  if (lane->sent_ns >= fetcher->warm_ns) histogram_add(&result->latency, now - lane->sent_ns);
}

static void fetched(void *context, const uint8_t *frame, size_t length) {
  struct consumer *consumer = context;
  struct fetcher *fetcher = consumer->fetcher;
  struct reader reader = reader_over(frame, length);
  struct fetch_response response;
  if (!fetch_response_head_read(&reader, fetcher->version, &response)) {
    fail("the broker's Fetch response is malformed");
  }
  if (response.correlation_id != consumer->correlation_id++) fail("an answer out of order");
  if (response.error_code != 0) {
    fail("Fetch: %s (%d)", error_name(response.error_code), response.error_code);
  }
  uint64_t in_flight = fetcher->settings->in_flight;
  struct lane *lane = &consumer->lanes[consumer->next_lane];
  consumer->next_lane = (consumer->next_lane + 1) % in_flight;
  if (!consumer->stream.discard && response.records_bytes > reader_left(&reader)) {
    fail("the records are longer than their frame");
  }
  advance(consumer, lane, &reader, &response);
  count(fetcher, lane, response.records_bytes);
  fetcher->outstanding--;
  if (!fetcher->stopping) {
    send_fetch(consumer, lane, consumer->correlation_id + (uint32_t)in_flight - 1);
  }
}

static void open_consumers(struct fetcher *fetcher) {
  const struct settings *settings = fetcher->settings;
  bool discard = !settings->copy && !settings->check;
  // Not the partition's limit, which some brokers do not heed; memory is not touched before used.
  size_t frame_max = settings->max_bytes + RESPONSE_OVERHEAD_MAX;
  fetcher->epoll = epoll_new();
  fetcher->consumers = allocate(settings->connections, sizeof *fetcher->consumers);
  for (uint64_t c = 0; c < settings->connections; c++) {
    struct consumer *consumer = &fetcher->consumers[c];
    consumer->fetcher = fetcher;
    int fd = net_connect(settings->address, (uint16_t)settings->port);
    stream_open(&consumer->stream, fd, discard, frame_max);
    consumer->lanes = allocate(settings->in_flight, sizeof *consumer->lanes);
    for (uint64_t lane = 0; lane < settings->in_flight; lane++) {
      consumer->lanes[lane].partition =
          (uint32_t)((c * settings->in_flight + lane) % fetcher->topic.partitions);
    }
    epoll_add(fetcher->epoll, fd, EPOLLIN, consumer);
  }
}

static void handle_events(struct fetcher *fetcher) {
  struct epoll_event events[EVENTS_MAX];
  uint64_t deadline = fetcher->last_ns + fetcher->settings->deadline_ns;
  int events_count = wait_until(fetcher->epoll, events, EVENTS_MAX, deadline);
  for (int i = 0; i < events_count; i++) {
    struct consumer *consumer = events[i].data.ptr;
    stream_receive(&consumer->stream, fetched, consumer);
  }
  if (events_count == 0 && now_ns() >= deadline) fail("no answer in time");
}

void run_fetch(const struct settings *settings) {
  static struct fetcher fetcher;
  fetcher.settings = settings;
  fetcher.version = (uint16_t)settings->fetch_version;
  if (!settings->duration_ns && !settings->bytes && !settings->requests) {
    fail("one of --seconds, --requests and --bytes must say when to stop");
  }
  if (settings->rate && settings->connections * settings->in_flight > 1) {
    fail("--rate is for one reader");
  }
  fetcher.topic = prepare_topic(settings);
  open_consumers(&fetcher);
  uint64_t start = fetcher.start_ns = fetcher.last_ns = now_ns();
  fetcher.warm_ns = start + settings->warmup_ns;
  if (settings->duration_ns) fetcher.end_ns = start + settings->duration_ns;
  for (uint64_t c = 0; c < settings->connections; c++) {
    for (uint64_t lane = 0; lane < settings->in_flight; lane++) {
      send_fetch(&fetcher.consumers[c], &fetcher.consumers[c].lanes[lane], (uint32_t)lane);
    }
  }
  while (fetcher.outstanding > 0) handle_events(&fetcher);
  fetcher.result.started_ns = fetcher.warm_ns;
  fetcher.result.ended_ns = fetcher.last_ns;
  measurement_print("fetch", &fetcher.result);
}
