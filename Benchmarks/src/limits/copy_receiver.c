// The receiving side of copy_limit. Each connection receives into a chunk of the slab; whole
// frames are checked in place and become entries; at the end of a round all entries go to the
// writer in as few messages as possible.
#include "copy_limit.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../base/fail.h"
#include "../base/net.h"
#include "../kafka/produce.h"
#include "replies.h"
#include "server.h"

#define CONNECTIONS_MAX 4096u

struct connection {
  struct peer peer;
  uint32_t number;
  uint32_t chunk;
  size_t parsed, filled;  // in the chunk
  struct replies replies;
};

static struct peer channel = {.fd = -1};
static bool is_syncing;
static struct connection *connections[CONNECTIONS_MAX];
static struct connection *answered[CONNECTIONS_MAX];
static size_t answered_count;
// Entries in each chunk that are not yet appended, and whether its connection has moved on.
static struct {
  uint32_t waiting;
  bool retired;
} chunks[CHUNKS];
static struct entry entries[ENTRIES_PER_MESSAGE];
static size_t entries_count;

static struct peer *opened(int fd) {
  (void)fd;
  uint32_t number = 0;
  while (number < CONNECTIONS_MAX && connections[number]) number++;
  if (number == CONNECTIONS_MAX) fail("too many connections");
  struct connection *connection = calloc(1, sizeof *connection);
  if (!connection) fail_errno("allocate a connection");
  connection->number = number;
  connection->chunk = chunk_take();
  connections[number] = connection;
  return &connection->peer;
}

static void retire(uint32_t chunk) {
  chunks[chunk].retired = chunks[chunk].waiting > 0;
  if (!chunks[chunk].retired) chunk_release(chunk);
}

static void closed(struct peer *peer) {
  struct connection *connection = (struct connection *)peer;
  if (chunks[connection->chunk].waiting > 0) fail("a client left with requests in flight");
  retire(connection->chunk);
  for (size_t i = 0; i < answered_count; i++) {
    if (answered[i] == connection) answered[i--] = answered[--answered_count];
  }
  connections[connection->number] = NULL;
  free(connection);
}

static uint8_t *chunk_bytes(const struct connection *connection) {
  return slab + (size_t)connection->chunk * CHUNK_BYTES;
}

// The batch of the entry is in the file.
static void appended(const struct entry *entry) {
  uint32_t chunk = entry->chunk;
  chunks[chunk].waiting--;
  if (chunks[chunk].retired && chunks[chunk].waiting == 0) {
    chunks[chunk].retired = false;
    chunk_release(chunk);
  }
  struct connection *connection = connections[entry->connection];
  if (entry->acks == 0 || !connection) return;
  struct produce_response response = {.correlation_id = entry->correlation_id,
                                      .partition = entry->partition,
                                      .base_offset = entry->base_offset};
  if (connection->replies.first == connection->replies.last) {
    answered[answered_count++] = connection;
  }
  replies_add(&connection->replies, entry->version, &response);
}

static void flush_answers(void) {
  for (size_t i = 0; i < answered_count; i++) {
    replies_flush(&answered[i]->replies, &answered[i]->peer);
  }
  answered_count = 0;
}

// Blocking is safe: entries in flight are bounded by the chunks that may be taken, and the writer
// never waits for this process while its answers fit the channel's buffer.
static void hand_over(void) {
  if (entries_count == 0) return;
  size_t length = entries_count * sizeof *entries;
  if (is_syncing) {
    writer_append(entries, entries_count);
    sync_add(entries, entries_count);
  } else if (channel.fd < 0) {
    writer_append(entries, entries_count);
    for (size_t i = 0; i < entries_count; i++) appended(&entries[i]);
  } else if (send(channel.fd, entries, length, MSG_NOSIGNAL) != (ssize_t)length) {
    fail_errno("send entries");
  }
  entries_count = 0;
}

static bool receive_appended(int flags) {
  if (is_syncing) {
    if (flags == 0) poll(&(struct pollfd){.fd = channel.fd, .events = POLLIN}, 1, -1);
    sync_take(appended);
    return true;
  }
  static struct entry done[ENTRIES_PER_MESSAGE];
  ssize_t received = recv(channel.fd, done, sizeof done, flags);
  if (received < 0) return errno == EAGAIN || errno == EINTR;
  for (size_t i = 0; i < (size_t)received / sizeof *done; i++) appended(&done[i]);
  return received > 0;
}

static bool take_frame(struct connection *connection, const uint8_t *bytes, size_t length) {
  struct reader reader = reader_over(bytes, length);
  struct request_header header = get_request_header(&reader);
  struct produce_request request;
  if (header.api_key != API_PRODUCE || header.api_version < PRODUCE_VERSION_MIN ||
      header.api_version > PRODUCE_VERSION_MAX ||
      !produce_request_read(&reader, header.api_version, &request)) {
    return false;
  }
  struct batch_header batch;
  if (!batch_header_read(request.batch, request.batch_bytes, &batch) ||
      batch.length_bytes != request.batch_bytes ||
      !batch_crc_holds(request.batch, request.batch_bytes)) {
    return false;
  }
  if (entries_count == ENTRIES_PER_MESSAGE) hand_over();
  entries[entries_count++] = (struct entry){.connection = connection->number,
                                            .chunk = connection->chunk,
                                            .correlation_id = header.correlation_id,
                                            .partition = request.partition,
                                            .batch_bytes = request.batch_bytes,
                                            .version = header.api_version,
                                            .acks = request.acks,
                                            .batch_at = (uint64_t)(request.batch - slab)};
  chunks[connection->chunk].waiting++;
  return true;
}

// A chunk to receive into. Producers that want no acknowledgement would outrun the writer; when
// most of the slab waits for it, so does this process.
static uint32_t take_chunk(void) {
  while (chunks_taken() > CHUNKS_BUSY_MAX) {
    hand_over();
    if (channel.fd >= 0 && !receive_appended(0)) fail("the other process is gone");
  }
  return chunk_take();
}

// Makes room for a frame of which the last `filled - parsed` bytes are the start.
static void make_room(struct connection *connection) {
  size_t partial = connection->filled - connection->parsed;
  if (chunks[connection->chunk].waiting == 0) {
    if (partial == 0) connection->parsed = connection->filled = 0;
    if (connection->filled < CHUNK_BYTES) return;
  } else if (connection->filled < CHUNK_BYTES) {
    return;
  }
  const uint8_t *from = chunk_bytes(connection) + connection->parsed;
  uint32_t old = connection->chunk;
  connection->chunk = take_chunk();
  memcpy(chunk_bytes(connection), from, partial);
  connection->parsed = 0;
  connection->filled = partial;
  retire(old);
}

static bool receive(struct connection *connection) {
  make_room(connection);
  uint8_t *bytes = chunk_bytes(connection);
  ssize_t received = net_recv(connection->peer.fd, bytes + connection->filled,
                              CHUNK_BYTES - connection->filled, 0);
  if (received <= 0) return received < 0;
  connection->filled += (size_t)received;
  while (connection->filled - connection->parsed >= FRAME_LENGTH_BYTES) {
    uint8_t *frame = bytes + connection->parsed;
    size_t length = FRAME_LENGTH_BYTES + load32(frame);
    if (length > CHUNK_BYTES) return false;
    if (connection->filled - connection->parsed < length) break;
    if (!take_frame(connection, frame + FRAME_LENGTH_BYTES, length - FRAME_LENGTH_BYTES)) {
      return false;
    }
    connection->parsed += length;
  }
  return true;
}

static bool ready(struct peer *peer, uint32_t events) {
  if (peer == &channel) return receive_appended(MSG_DONTWAIT);
  struct connection *connection = (struct connection *)peer;
  if ((events & ~(uint32_t)EPOLLOUT) && !receive(connection)) return false;
  return !(events & EPOLLOUT) || replies_flush(&connection->replies, peer);
}

static void round_ended(void) {
  hand_over();
  flush_answers();
}

void receiver_run(uint16_t port, int channel_fd, bool sync) {
  static const struct server server = {
      .opened = opened, .ready = ready, .closed = closed, .round_ended = round_ended};
  channel.fd = channel_fd;
  is_syncing = sync;
  server_run(&server, port, channel_fd < 0 ? NULL : &channel);
}
