// Writes the segments of one partition as a broker would have: records with keys, in batches of
// about 16 KiB, so that compaction can be measured without waiting for a producer.
//
//   keyedlog DIRECTORY RECORDS KEYS VALUE_BYTES SEGMENT_BYTES
//
// Record n has the key (n * 2654435761) mod KEYS in decimal: every key comes RECORDS / KEYS times, in
// an order that has nothing to do with its hash. Prints the bytes written and the end offset.

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../base/bytes.h"
#include "../base/fail.h"
#include "../kafka/batch.h"

#define BATCH_BYTES (16u << 10)
#define KEY_BYTES 16u
#define LAST_OFFSET_DELTA_AT 23u
#define RECORD_COUNT_AT 57u
#define LENGTH_AT 8u

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void put_header(struct writer *writer, uint64_t base_offset, uint64_t time_ms) {
  put64(writer, base_offset);
  put32(writer, 0);
  put32(writer, 0);  // partitionLeaderEpoch
  put8(writer, 2);
  put32(writer, 0);
  put16(writer, 0);
  put32(writer, 0);
  put64(writer, time_ms);
  put64(writer, time_ms);
  put64(writer, UINT64_MAX);
  put16(writer, UINT16_MAX);
  put32(writer, UINT32_MAX);
  put32(writer, 0);
}

static void put_record(struct writer *writer, uint32_t delta, uint64_t key, size_t value_bytes) {
  uint8_t body[1 << 16];
  struct writer inner = writer_over(body, sizeof body);
  char text[32];
  snprintf(text, sizeof text, "%0*llu", (int)KEY_BYTES, (unsigned long long)key);
  put8(&inner, 0);
  put_zigzag(&inner, 0);
  put_zigzag(&inner, delta);
  put_zigzag(&inner, KEY_BYTES);
  put_bytes(&inner, text, KEY_BYTES);
  put_zigzag(&inner, (int64_t)value_bytes);
  for (size_t i = 0; i < value_bytes; i++) put8(&inner, (uint8_t)('a' + (key + i) % 26));
  put_zigzag(&inner, 0);
  put_zigzag(writer, (int64_t)writer_length(&inner));
  put_bytes(writer, body, writer_length(&inner));
}

static int open_segment(const char *directory, uint64_t base_offset) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%020llu.log", directory, (unsigned long long)base_offset);
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
  if (file < 0) fail("cannot write %s", path);
  return file;
}

int main(int count, char **arguments) {
  if (count != 6) fail("keyedlog DIRECTORY RECORDS KEYS VALUE_BYTES SEGMENT_BYTES");
  uint64_t records = strtoull(arguments[2], NULL, 10), keys = strtoull(arguments[3], NULL, 10);
  size_t value_bytes = strtoull(arguments[4], NULL, 10);
  uint64_t segment_bytes = strtoull(arguments[5], NULL, 10);
  if (records == 0 || keys == 0 || value_bytes > 1 << 14) fail("a number out of range");
  static uint8_t batch[BATCH_BYTES + (1 << 16)];
  uint64_t offset = 0, total = 0, in_segment = 0, time_ms = now_ms();
  int file = open_segment(arguments[1], 0);
  while (offset < records) {
    struct writer writer = writer_over(batch, sizeof batch);
    put_header(&writer, offset, time_ms);
    uint32_t delta = 0;
    while (offset + delta < records && writer_length(&writer) < BATCH_BYTES) {
      put_record(&writer, delta, (offset + delta) * 2654435761u % keys, value_bytes);
      delta++;
    }
    size_t length = writer_length(&writer);
    store32(batch + LENGTH_AT, (uint32_t)length - BATCH_PREFIX_BYTES);
    store32(batch + LAST_OFFSET_DELTA_AT, delta - 1);
    store32(batch + RECORD_COUNT_AT, delta);
    batch_seal(batch, length);
    if (in_segment + length > segment_bytes) {
      close(file);
      file = open_segment(arguments[1], offset);
      in_segment = 0;
    }
    if (write(file, batch, length) != (ssize_t)length) fail("the disk takes no more");
    in_segment += length;
    total += length;
    offset += delta;
  }
  close(file);
  printf("{\"bytes\": %llu, \"end_offset\": %llu}\n", (unsigned long long)total,
         (unsigned long long)offset);
  return 0;
}
