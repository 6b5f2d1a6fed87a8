// The writing side of copy_limit: like a log writer it copies each batch's header, fills in the
// base offset, and appends header and body together; the slab itself stays untouched.
#include "copy_limit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../base/fail.h"
#include "../kafka/batch.h"

#define RUN_MAX 256u  // batches in one pwritev, two pieces each

struct log {
  int file;
  uint64_t end_bytes, end_offset;
};

static struct log *logs;
static uint64_t logs_count;

void writer_open(const struct copy_settings *settings) {
  logs_count = settings->partitions;
  logs = calloc(logs_count, sizeof *logs);
  if (!logs) fail_errno("allocate %lu partitions", logs_count);
  for (uint64_t i = 0; i < logs_count; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/copy-%lu.log", settings->directory, i);
    logs[i].file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (logs[i].file < 0) fail_errno("open %s", path);
  }
}

int writer_file(uint64_t partition) { return logs[partition].file; }

static void write_all(struct log *log, struct iovec *pieces, size_t count, size_t length) {
  ssize_t written = pwritev(log->file, pieces, (int)count, (off_t)log->end_bytes);
  if (written != (ssize_t)length) fail_errno("append %zu bytes", length);
  log->end_bytes += length;
}

// Appends the entries of the partition of the first one, with one call, and marks them done.
static void append_run(struct entry *entries, size_t count, bool *done) {
  uint8_t headers[RUN_MAX][BATCH_HEADER_BYTES];
  struct iovec pieces[2 * RUN_MAX];
  size_t batches = 0, length = 0;
  uint32_t partition = entries[0].partition;
  struct log *log = &logs[partition % logs_count];
  for (size_t i = 0; i < count && batches < RUN_MAX; i++) {
    struct entry *entry = &entries[i];
    if (done[i] || entry->partition != partition) continue;
    uint8_t *header = headers[batches];
    memcpy(header, slab + entry->batch_at, BATCH_HEADER_BYTES);
    entry->base_offset = log->end_offset;
    log->end_offset += load32(header + BATCH_LAST_OFFSET_DELTA_AT) + 1;
    store64(header, entry->base_offset);
    store32(header + 12, 0);  // partitionLeaderEpoch
    pieces[2 * batches] = (struct iovec){header, BATCH_HEADER_BYTES};
    pieces[2 * batches + 1] = (struct iovec){slab + entry->batch_at + BATCH_HEADER_BYTES,
                                             entry->batch_bytes - BATCH_HEADER_BYTES};
    length += entry->batch_bytes;
    batches++;
    done[i] = true;
  }
  write_all(log, pieces, 2 * batches, length);
}

void writer_append(struct entry *entries, size_t count) {
  bool done[ENTRIES_PER_MESSAGE] = {0};
  for (size_t i = 0; i < count; i++) {
    if (!done[i]) append_run(entries + i, count - i, done + i);
  }
}

void writer_run(int channel) {
  static struct entry entries[ENTRIES_PER_MESSAGE];
  for (;;) {
    ssize_t received = recv(channel, entries, sizeof entries, 0);
    if (received == 0) exit(0);
    if (received < 0) {
      if (errno == EINTR) continue;
      fail_errno("receive entries");
    }
    writer_append(entries, (size_t)received / sizeof *entries);
    if (send(channel, entries, (size_t)received, 0) != received) fail_errno("answer entries");
  }
}
