// echo_server [--port N]: the limit for small requests. It reads a frame and answers a frame of
// the size of a Produce response, without looking at the request beyond its header. All requests
// that one recv returned are answered with one send, as any decent server would.
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "../base/fail.h"
#include "../base/net.h"
#include "../base/options.h"
#include "replies.h"
#include "server.h"

#define INPUT_BYTES (128u << 10)

struct connection {
  struct peer peer;
  size_t have;
  uint8_t input[INPUT_BYTES];
  struct replies replies;
};

static struct peer *opened(int fd) {
  (void)fd;
  struct connection *connection = malloc(sizeof *connection);
  if (!connection) fail_errno("allocate a connection");
  memset(&connection->peer, 0, sizeof connection->peer);
  connection->have = connection->replies.first = connection->replies.last = 0;
  return &connection->peer;
}

static void closed(struct peer *peer) { free(peer); }

// Answers the frame at `bytes`; its length field was checked.
static bool answer(struct connection *connection, const uint8_t *bytes) {
  uint16_t version = (uint16_t)(bytes[6] << 8 | bytes[7]);
  if (version < PRODUCE_VERSION_MIN || version > PRODUCE_VERSION_MAX) return false;
  struct produce_response response = {.correlation_id = load32(bytes + REQUEST_CORRELATION_AT)};
  replies_add(&connection->replies, version, &response);
  return true;
}

static bool receive(struct connection *connection) {
  ssize_t received = net_recv(connection->peer.fd, connection->input + connection->have,
                              sizeof connection->input - connection->have, 0);
  if (received == 0) return false;
  if (received > 0) connection->have += (size_t)received;
  size_t at = 0;
  while (connection->have - at >= FRAME_LENGTH_BYTES) {
    size_t frame = FRAME_LENGTH_BYTES + load32(connection->input + at);
    if (frame < 16 || frame > sizeof connection->input) return false;
    if (connection->have - at < frame) break;
    if (!answer(connection, connection->input + at)) return false;
    at += frame;
  }
  connection->have -= at;
  memmove(connection->input, connection->input + at, connection->have);
  return true;
}

static bool ready(struct peer *peer, uint32_t events) {
  struct connection *connection = (struct connection *)peer;
  if ((events & ~(uint32_t)EPOLLOUT) && !receive(connection)) return false;
  return replies_flush(&connection->replies, peer);
}

int main(int count, char **arguments) {
  uint64_t port = 0;
  const struct option_row rows[] = {{"port", OPTION_NUMBER, &port, "port; 0: any (0)"}, {0}};
  options_read(count - 1, arguments + 1, "echo_server [--port N]", rows);
  static const struct server server = {.opened = opened, .ready = ready, .closed = closed};
  server_run(&server, (uint16_t)port, NULL);
}
