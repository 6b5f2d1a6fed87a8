#include "batch.h"

#include <string.h>
#include <time.h>

#include "../base/fail.h"
#include "CCRC32C.h"

#define MAGIC 2
#define MAGIC_AT 16
#define RECORDS_COUNT_AT 57

static size_t varint_bytes(uint64_t value) {
  size_t bytes = 1;
  for (; value >= 0x80; value >>= 7) bytes++;
  return bytes;
}

static size_t zigzag_bytes(int64_t value) {
  return varint_bytes(((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

// length | attributes | timestampDelta | offsetDelta | keyLength -1 | valueLength | value |
// headersCount 0
static size_t record_body_bytes(int64_t offset_delta, size_t value_bytes) {
  return 4 + zigzag_bytes(offset_delta) + zigzag_bytes((int64_t)value_bytes) + value_bytes;
}

static size_t record_bytes(int64_t offset_delta, size_t value_bytes) {
  size_t body = record_body_bytes(offset_delta, value_bytes);
  return zigzag_bytes((int64_t)body) + body;
}

static void put_record(struct writer *writer, int64_t offset_delta, size_t value_bytes) {
  put_zigzag(writer, (int64_t)record_body_bytes(offset_delta, value_bytes));
  put8(writer, 0);
  put_zigzag(writer, 0);
  put_zigzag(writer, offset_delta);
  put_zigzag(writer, -1);
  put_zigzag(writer, (int64_t)value_bytes);
  for (size_t i = 0; i < value_bytes; i++) put8(writer, (uint8_t)('a' + i % 26));
  put_zigzag(writer, 0);
}

static void put_batch_header(struct writer *writer) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
  put64(writer, 0);           // baseOffset
  put32(writer, 0);           // batchLength, filled in by batch_finish
  put32(writer, UINT32_MAX);  // partitionLeaderEpoch
  put8(writer, MAGIC);
  put32(writer, 0);  // crc, filled in by batch_seal
  put16(writer, 0);  // attributes: no compression
  put32(writer, 0);  // lastOffsetDelta
  put64(writer, now_ms);
  put64(writer, now_ms);
  put64(writer, UINT64_MAX);  // producerId: not idempotent
  put16(writer, UINT16_MAX);
  put32(writer, UINT32_MAX);
  put32(writer, 0);  // recordsCount
}

static void batch_finish(uint8_t *batch, size_t batch_bytes, uint32_t records) {
  store32(batch + 8, (uint32_t)(batch_bytes - BATCH_PREFIX_BYTES));
  store32(batch + BATCH_LAST_OFFSET_DELTA_AT, records - 1);
  store32(batch + RECORDS_COUNT_AT, records);
  batch_seal(batch, batch_bytes);
}

// The largest value with which a record fills `room` exactly, or SIZE_MAX: where a length field
// grows by a byte there is a size that no record has.
static size_t value_filling(int64_t offset_delta, size_t room) {
  for (size_t overhead = 6; overhead <= 24 && overhead <= room; overhead++) {
    if (record_bytes(offset_delta, room - overhead) == room) return room - overhead;
  }
  return SIZE_MAX;
}

uint32_t batch_build(uint8_t *batch, size_t batch_bytes, size_t value_bytes) {
  struct writer writer = writer_over(batch, batch_bytes);
  put_batch_header(&writer);
  uint32_t records = 0;
  for (;;) {
    size_t room = (size_t)(writer.end - writer.at);
    size_t next = record_bytes(records, value_bytes);
    size_t smallest = record_bytes((int64_t)records + 1, 0);
    if (next == room || next + smallest <= room) {
      put_record(&writer, records++, value_bytes);
      if (next == room) break;
      continue;
    }
    size_t last = value_filling(records, room);
    if (last == SIZE_MAX) fail("no records fill %zu bytes: choose another size", batch_bytes);
    put_record(&writer, records++, last);
    break;
  }
  batch_finish(batch, batch_bytes, records);
  return records;
}

size_t batch_build_single(uint8_t *batch, size_t capacity, size_t value_bytes, size_t *value_at) {
  struct writer writer = writer_over(batch, capacity);
  put_batch_header(&writer);
  put_record(&writer, 0, value_bytes);
  size_t batch_bytes = writer_length(&writer);
  *value_at = batch_bytes - 1 - value_bytes;
  batch_finish(batch, batch_bytes, 1);
  return batch_bytes;
}

static uint32_t crc_of(const uint8_t *batch, size_t batch_bytes) {
  return sluice_crc32c(0, batch + BATCH_CRC_FROM, batch_bytes - BATCH_CRC_FROM);
}

void batch_seal(uint8_t *batch, size_t batch_bytes) {
  store32(batch + BATCH_CRC_AT, crc_of(batch, batch_bytes));
}

bool batch_header_read(const uint8_t *bytes, size_t length, struct batch_header *header) {
  if (length < BATCH_HEADER_BYTES || bytes[MAGIC_AT] != MAGIC) return false;
  header->base_offset = load64(bytes);
  header->length_bytes = load32(bytes + 8) + BATCH_PREFIX_BYTES;
  header->records = load32(bytes + BATCH_LAST_OFFSET_DELTA_AT) + 1;
  return header->length_bytes >= BATCH_HEADER_BYTES && header->records > 0;
}

bool batch_crc_holds(const uint8_t *batch, size_t batch_bytes) {
  return load32(batch + BATCH_CRC_AT) == crc_of(batch, batch_bytes);
}
