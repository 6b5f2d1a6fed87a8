// Group commit for copy_limit --sync: each file has a thread that makes one fdatasync at a time, and
// answers go out when the one that began after their append has ended. What is appended meanwhile
// goes with the next.
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../base/fail.h"
#include "copy_limit.h"

enum { IDLE, ASKED, DONE };

struct lane {
  int file;
  int wake;
  _Atomic int state;
  pthread_t thread;
  // Appended and to be synced; and those that the sync under way covers.
  struct entry *waiting, *covered;
  size_t waiting_count, covered_count, capacity;
};

static struct lane *lanes;
static uint64_t lanes_count;
static int done = -1;

static void signal_to(int descriptor) {
  uint64_t one = 1;
  if (write(descriptor, &one, sizeof one) != sizeof one) fail_errno("eventfd");
}

static void *run(void *argument) {
  struct lane *lane = argument;
  for (;;) {
    uint64_t count;
    if (read(lane->wake, &count, sizeof count) != sizeof count) continue;
    if (atomic_load_explicit(&lane->state, memory_order_acquire) != ASKED) continue;
    if (fdatasync(lane->file) < 0) fail_errno("fdatasync");
    atomic_store_explicit(&lane->state, DONE, memory_order_release);
    signal_to(done);
  }
}

int sync_open(uint64_t count) {
  lanes_count = count;
  lanes = calloc(count, sizeof *lanes);
  done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (!lanes || done < 0) fail_errno("prepare %lu lanes", count);
  for (uint64_t i = 0; i < count; i++) {
    lanes[i].file = writer_file(i);
    lanes[i].wake = eventfd(0, EFD_CLOEXEC);
    if (lanes[i].wake < 0 || pthread_create(&lanes[i].thread, NULL, run, &lanes[i]) != 0) {
      fail("start a thread");
    }
  }
  return done;
}

static void begin(struct lane *lane) {
  if (lane->waiting_count == 0 ||
      atomic_load_explicit(&lane->state, memory_order_acquire) != IDLE) {
    return;
  }
  struct entry *covered = lane->waiting;
  lane->waiting = lane->covered;
  lane->covered = covered;
  lane->covered_count = lane->waiting_count;
  lane->waiting_count = 0;
  atomic_store_explicit(&lane->state, ASKED, memory_order_release);
  signal_to(lane->wake);
}

void sync_add(const struct entry *entries, size_t count) {
  for (size_t i = 0; i < count; i++) {
    struct lane *lane = &lanes[entries[i].partition % lanes_count];
    if (lane->waiting_count == lane->capacity) {
      lane->capacity = lane->capacity ? 2 * lane->capacity : 1024;
      lane->waiting = realloc(lane->waiting, lane->capacity * sizeof *lane->waiting);
      lane->covered = realloc(lane->covered, lane->capacity * sizeof *lane->covered);
      if (!lane->waiting || !lane->covered) fail_errno("remember entries");
    }
    lane->waiting[lane->waiting_count++] = entries[i];
  }
  for (uint64_t i = 0; i < lanes_count; i++) begin(&lanes[i]);
}

void sync_take(void (*durable)(const struct entry *)) {
  uint64_t count;
  if (read(done, &count, sizeof count) < 0 && errno != EAGAIN) fail_errno("eventfd");
  for (uint64_t i = 0; i < lanes_count; i++) {
    struct lane *lane = &lanes[i];
    if (atomic_load_explicit(&lane->state, memory_order_acquire) != DONE) continue;
    atomic_store_explicit(&lane->state, IDLE, memory_order_release);
    for (size_t e = 0; e < lane->covered_count; e++) durable(&lane->covered[e]);
    lane->covered_count = 0;
    begin(lane);
  }
}
