// sendfile_limit --dir D [--port N] ...: the limit for consuming. It writes a file of batches once,
// which then is in the page cache, and answers Fetch requests from it: head, sendfile, tail.
//
// It reads of a request what it needs to find the place, and its responses are well-formed, so the
// same reader measures it and a broker.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/fail.h"
#include "../base/net.h"
#include "../base/options.h"
#include "../kafka/fetch.h"
#include "server.h"

#define INPUT_BYTES (16u << 10)

static const char *directory = ".";
static uint64_t port, file_bytes = 1 << 30, batch_bytes = 64 << 10, value_bytes = 1000;
static uint64_t batch_records, high_watermark;
static int file = -1;

struct connection {
  struct peer peer;
  size_t have;
  uint8_t input[INPUT_BYTES];
  // The response under way: bytes before the records, records, bytes after them.
  uint8_t head[FETCH_HEAD_BYTES_MAX];
  size_t head_bytes, head_sent, records_left, tail_left;
  off_t position;
};

static void write_file(void) {
  char path[4096];
  snprintf(path, sizeof path, "%s/sendfile.log", directory);
  file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) fail_errno("open %s", path);
  uint8_t *batch = malloc(batch_bytes);
  if (!batch) fail_errno("allocate a batch");
  batch_records = batch_build(batch, batch_bytes, value_bytes);
  for (uint64_t at = 0; at + batch_bytes <= file_bytes; at += batch_bytes) {
    store64(batch, high_watermark);
    if (pwrite(file, batch, batch_bytes, (off_t)at) != (ssize_t)batch_bytes) {
      fail_errno("write %s", path);
    }
    high_watermark += batch_records;
  }
  free(batch);
  if (high_watermark == 0) fail("--file-bytes is less than a batch");
}

static struct peer *opened(int fd) {
  (void)fd;
  struct connection *connection = calloc(1, sizeof *connection);
  if (!connection) fail_errno("allocate a connection");
  return &connection->peer;
}

static void closed(struct peer *peer) { free(peer); }

static bool is_answering(const struct connection *connection) {
  return connection->head_sent < connection->head_bytes || connection->records_left > 0 ||
         connection->tail_left > 0;
}

static bool begin_answer(struct connection *connection, const uint8_t *bytes, size_t length) {
  static const struct topic topic = {.name = "bench"};
  struct reader reader = reader_over(bytes, length);
  struct request_header header = get_request_header(&reader);
  struct fetch_request request;
  if (header.api_key != API_FETCH || header.api_version < FETCH_VERSION_MIN ||
      header.api_version > FETCH_VERSION_MAX ||
      !fetch_request_read(&reader, header.api_version, &request)) {
    return false;
  }
  uint64_t start = request.fetch_offset / batch_records * batch_bytes;
  uint64_t end = high_watermark / batch_records * batch_bytes;
  uint64_t left = start < end ? end - start : 0;
  uint64_t limit = request.partition_max_bytes > batch_bytes ? request.partition_max_bytes
                                                             : batch_bytes;
  struct fetch_response response = {.correlation_id = header.correlation_id,
                                    .partition = request.partition,
                                    .high_watermark = high_watermark,
                                    .records_bytes = (uint32_t)(left < limit ? left : limit)};
  connection->head_bytes = fetch_response_head_write(
      connection->head, sizeof connection->head, header.api_version, &topic, &response);
  connection->head_sent = 0;
  connection->position = (off_t)start;
  connection->records_left = response.records_bytes;
  connection->tail_left = fetch_response_tail_bytes(header.api_version);
  return true;
}

// One step of an answer: bytes sent, -1 when the socket is full, 0 when the peer is gone.
static ssize_t send_some(struct connection *connection) {
  static const uint8_t tail[8];
  int fd = connection->peer.fd;
  if (connection->head_sent < connection->head_bytes) {
    ssize_t sent = net_send(fd, connection->head + connection->head_sent,
                            connection->head_bytes - connection->head_sent, MSG_MORE);
    if (sent > 0) connection->head_sent += (size_t)sent;
    return sent;
  }
  if (connection->records_left > 0) {
    ssize_t sent = sendfile(fd, file, &connection->position, connection->records_left);
    if (sent < 0) return errno == EAGAIN ? -1 : 0;
    connection->records_left -= (size_t)sent;
    return sent;
  }
  ssize_t sent = net_send(fd, tail, connection->tail_left, 0);
  if (sent > 0) connection->tail_left -= (size_t)sent;
  return sent;
}

// Answers requests until the socket is full or no request is left.
static bool answer(struct connection *connection) {
  size_t at = 0;
  for (;;) {
    if (is_answering(connection)) {
      ssize_t sent = send_some(connection);
      if (sent == 0) return false;
      if (sent < 0) break;
      continue;
    }
    if (connection->have - at < FRAME_LENGTH_BYTES) break;
    size_t frame = FRAME_LENGTH_BYTES + load32(connection->input + at);
    if (frame > sizeof connection->input) return false;
    if (connection->have - at < frame) break;
    if (!begin_answer(connection, connection->input + at + FRAME_LENGTH_BYTES,
                      frame - FRAME_LENGTH_BYTES)) {
      return false;
    }
    at += frame;
  }
  connection->have -= at;
  memmove(connection->input, connection->input + at, connection->have);
  server_watch_out(&connection->peer, is_answering(connection));
  return true;
}

static bool ready(struct peer *peer, uint32_t events) {
  struct connection *connection = (struct connection *)peer;
  if ((events & ~(uint32_t)EPOLLOUT) && connection->have < sizeof connection->input) {
    ssize_t received = net_recv(peer->fd, connection->input + connection->have,
                                sizeof connection->input - connection->have, 0);
    if (received == 0) return false;
    if (received > 0) connection->have += (size_t)received;
  }
  return answer(connection);
}

int main(int count, char **arguments) {
  const struct option_row rows[] = {
      {"port", OPTION_NUMBER, &port, "port; 0: any (0)"},
      {"dir", OPTION_TEXT, &directory, "where the file goes (.)"},
      {"file-bytes", OPTION_NUMBER, &file_bytes, "size of the file (1G)"},
      {"batch-bytes", OPTION_NUMBER, &batch_bytes, "size of a batch (64K)"},
      {"value-bytes", OPTION_NUMBER, &value_bytes, "size of a record's value (1000)"},
      {0}};
  options_read(count - 1, arguments + 1, "sendfile_limit [options]", rows);
  write_file();
  static const struct server server = {.opened = opened, .ready = ready, .closed = closed};
  server_run(&server, (uint16_t)port, NULL);
}
