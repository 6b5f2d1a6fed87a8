// The limit for producing: a receiving process and a writing process that share a memfd ("slab").
//
//   copy_limit.c     command line; starts the processes
//   copy_receiver.c  sockets -> slab, checks CRCs, answers; one message of entries per round
//   copy_slab.c      which parts of the slab are free
//   copy_writer.c    slab -> files, one pwritev for each run of batches of a partition
//   copy_sync.c      --sync: group commit, a thread for each file
//
// The payload is copied from the socket into the slab and from there into the page cache, which is
// the least that two processes can do. Entries travel over a SEQPACKET pair, both ways the same.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNK_BYTES (1u << 20)
#define CHUNKS 512u
// Receiving pauses above this; the rest is for new connections.
#define CHUNKS_BUSY_MAX 256u
#define ENTRIES_PER_MESSAGE 512u

// One batch to append; the writer fills in base_offset and sends the entry back.
struct entry {
  uint32_t connection;
  uint32_t chunk;
  uint32_t correlation_id;
  uint32_t partition;
  uint32_t batch_bytes;
  uint16_t version;
  int16_t acks;
  uint64_t batch_at;  // in the slab
  uint64_t base_offset;
};

struct copy_settings {
  const char *directory;
  uint64_t partitions;
  bool one_process;
  bool sync;
};

// The slab, mapped by both processes before they part.
extern uint8_t *slab;

void writer_open(const struct copy_settings *settings);
// Appends the batches and fills in their base offsets.
void writer_append(struct entry *entries, size_t count);
int writer_file(uint64_t partition);
// Serves the channel until it is closed.
_Noreturn void writer_run(int channel);

// Starts a thread for each partition's file; returns a descriptor that is readable when some are
// synced.
int sync_open(uint64_t partitions);
// Entries that are appended and must be on disk before they are answered.
void sync_add(const struct entry *entries, size_t count);
// Hands over those that are.
void sync_take(void (*durable)(const struct entry *));

// Serves clients; `channel` is -1 when this process writes, too. With `sync` it writes, and `channel`
// is what sync_open returned.
_Noreturn void receiver_run(uint16_t port, int channel, bool sync);

// Chunks: a connection fills one at a time; it is free again when nothing in it waits.
uint32_t chunk_take(void);
void chunk_release(uint32_t chunk);
uint32_t chunks_taken(void);
