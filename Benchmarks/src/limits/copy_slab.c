#include "copy_limit.h"

#include "../base/fail.h"

// Last in, first out: the chunk that is taken next is the one that is still in the CPU's cache.
static uint32_t free_chunks[CHUNKS];
static uint32_t free_count, fresh;

uint32_t chunk_take(void) {
  if (free_count > 0) return free_chunks[--free_count];
  if (fresh == CHUNKS) fail("the slab is full: too many connections");
  return fresh++;
}

void chunk_release(uint32_t chunk) { free_chunks[free_count++] = chunk; }

uint32_t chunks_taken(void) { return fresh - free_count; }
