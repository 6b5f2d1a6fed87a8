#include "stream.h"

#include <string.h>
#include <sys/socket.h>

#include "../base/fail.h"
#include "../base/net.h"
#include "loadgen.h"

#define DISCARD_BYTES_MAX (4u << 20)

void stream_open(struct stream *stream, int fd, bool discard, size_t frame_bytes_max) {
  *stream = (struct stream){.fd = fd, .discard = discard};
  stream->capacity = discard ? FETCH_HEAD_BYTES_MAX : frame_bytes_max;
  stream->bytes = allocate(1, stream->capacity);
}

static void drop(struct stream *stream, size_t length) {
  stream->have -= length;
  memmove(stream->bytes, stream->bytes + length, stream->have);
}

// Hands on the frame at the start of the buffer if it can be. What has not arrived of a frame
// whose head is complete will be discarded; the handler hears of it when that is done.
static bool take(struct stream *stream, frame_handler *handler, void *context) {
  if (stream->have < FRAME_LENGTH_BYTES) return false;
  size_t frame = FRAME_LENGTH_BYTES + load32(stream->bytes);
  if (stream->have >= frame) {
    handler(context, stream->bytes + FRAME_LENGTH_BYTES, frame - FRAME_LENGTH_BYTES);
    drop(stream, frame);
    return true;
  }
  if (stream->discard && stream->have == stream->capacity) {
    stream->skip = frame - stream->have;
  } else if (!stream->discard && frame > stream->capacity) {
    fail("the broker answered a frame of %zu bytes", frame);
  }
  return false;
}

static ssize_t receive(struct stream *stream) {
  if (stream->skip > 0) {
    size_t length = stream->skip < DISCARD_BYTES_MAX ? stream->skip : DISCARD_BYTES_MAX;
    return net_recv(stream->fd, NULL, length, MSG_TRUNC);
  }
  return net_recv(stream->fd, stream->bytes + stream->have, stream->capacity - stream->have, 0);
}

void stream_receive(struct stream *stream, frame_handler *handler, void *context) {
  ssize_t received = receive(stream);
  if (received < 0) return;
  if (received == 0) fail("the broker closed the connection");
  if (stream->skip > 0) {
    stream->skip -= (size_t)received;
    if (stream->skip > 0) return;
    handler(context, stream->bytes + FRAME_LENGTH_BYTES, stream->have - FRAME_LENGTH_BYTES);
    stream->have = 0;
    return;
  }
  stream->have += (size_t)received;
  while (take(stream, handler, context)) {}
}
