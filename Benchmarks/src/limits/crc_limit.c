// crc_limit FILE...: the limit for recovery. Reads segments once, from their first batch to their
// last, walks the batch headers and compares each CRC-32C, and prints how long that took as JSON.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/fail.h"
#include "../kafka/batch.h"

#define WINDOW_BYTES (1u << 20)

static uint64_t batches;

static uint64_t check(const char *path, uint8_t *window) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) fail_errno("open %s", path);
  uint64_t position = 0;
  size_t have = 0;
  for (;;) {
    ssize_t count = pread(file, window + have, WINDOW_BYTES - have, (off_t)(position + have));
    if (count < 0) fail_errno("read %s", path);
    have += (size_t)count;
    size_t at = 0;
    struct batch_header header;
    while (have - at >= BATCH_HEADER_BYTES && batch_header_read(window + at, have - at, &header) &&
           header.length_bytes <= have - at) {
      if (!batch_crc_holds(window + at, header.length_bytes)) fail("%s: a wrong checksum", path);
      at += header.length_bytes;
      batches++;
    }
    if (at == 0) break;
    position += at;
    have -= at;
    memmove(window, window + at, have);
  }
  if (have > 0) fail("%s: no whole batch at %lu", path, position);
  close(file);
  return position;
}

int main(int count, char **arguments) {
  uint8_t *window = malloc(WINDOW_BYTES);
  if (!window) fail_errno("allocate the window");
  uint64_t bytes = 0, start = now_ns();
  for (int i = 1; i < count; i++) bytes += check(arguments[i], window);
  printf("{\"bytes\": %lu, \"batches\": %lu, \"seconds\": %.6f}\n", bytes, batches,
         (double)(now_ns() - start) / (double)NANOSECONDS_PER_SECOND);
}
