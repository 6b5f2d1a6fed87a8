// The receiving side of a fetch connection: finds the frames in the stream and either keeps them
// whole or keeps only what precedes the records and lets the kernel discard the rest.
//
// Discarding (recv with MSG_TRUNC) leaves the copy out of user space to the sender's side and the
// network, which is the fastest any consumer could be.
#pragma once

#include "../kafka/fetch.h"

struct stream {
  int fd;
  bool discard;
  uint8_t *bytes;
  size_t capacity, have;
  size_t skip;  // bytes of the current frame that are still to be discarded
};

// The start of a frame after its length field: all of it, or its first bytes when discarding.
typedef void frame_handler(void *context, const uint8_t *frame, size_t length);

void stream_open(struct stream *stream, int fd, bool discard, size_t frame_bytes_max);

// Reads once and hands on every frame that is complete. The handler may send.
void stream_receive(struct stream *stream, frame_handler *handler, void *context);
