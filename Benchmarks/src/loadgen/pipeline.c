#include "pipeline.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../base/fail.h"
#include "../base/net.h"
#include "loadgen.h"

#define FRAMES_PER_SEND 32

void pipeline_open(struct pipeline *pipeline, int fd, int epoll, uint64_t capacity) {
  *pipeline = (struct pipeline){.fd = fd, .epoll = epoll, .capacity = capacity};
  pipeline->slots = allocate(capacity, sizeof *pipeline->slots);
  epoll_add(epoll, fd, EPOLLIN, pipeline);
}

static struct slot *slot_at(struct pipeline *pipeline, uint64_t number) {
  return &pipeline->slots[number % pipeline->capacity];
}

void pipeline_issue(struct pipeline *pipeline, const struct request_frame *frame,
                    uint64_t intended_ns) {
  uint64_t number = pipeline->issued++;
  struct slot *slot = slot_at(pipeline, number);
  slot->intended_ns = intended_ns;
  slot->frame = frame;
  memcpy(slot->head, frame->bytes, SLOT_HEAD_BYTES);
  store32(slot->head + REQUEST_CORRELATION_AT, (uint32_t)number);
}

// Adds what is left of a slot's frame, `skip` bytes of which are sent; returns the new count.
static size_t gather(struct iovec *pieces, size_t count, struct slot *slot, size_t skip) {
  if (skip < SLOT_HEAD_BYTES) {
    pieces[count++] = (struct iovec){slot->head + skip, SLOT_HEAD_BYTES - skip};
    skip = SLOT_HEAD_BYTES;
  }
  pieces[count++] = (struct iovec){slot->frame->bytes + skip, slot->frame->length - skip};
  return count;
}

static void mark_sent(struct pipeline *pipeline, size_t sent) {
  pipeline->sent_bytes += sent;
  while (pipeline->unsent != pipeline->issued) {
    size_t length = slot_at(pipeline, pipeline->unsent)->frame->length;
    if (pipeline->sent_bytes < length) return;
    pipeline->sent_bytes -= length;
    pipeline->unsent++;
  }
}

static void watch_out(struct pipeline *pipeline, bool wanted) {
  if (pipeline->wants_out == wanted) return;
  pipeline->wants_out = wanted;
  epoll_modify(pipeline->epoll, pipeline->fd, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, pipeline);
}

void pipeline_flush(struct pipeline *pipeline) {
  while (pipeline->unsent != pipeline->issued) {
    struct iovec pieces[2 * FRAMES_PER_SEND];
    size_t count = 0, skip = pipeline->sent_bytes;
    uint64_t number = pipeline->unsent;
    for (; number != pipeline->issued && count < 2 * FRAMES_PER_SEND; number++, skip = 0) {
      count = gather(pieces, count, slot_at(pipeline, number), skip);
    }
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    ssize_t sent = sendmsg(pipeline->fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
      watch_out(pipeline, true);
      return;
    }
    if (sent < 0 && errno != EINTR) fail_errno("send to the broker");
    if (sent > 0) mark_sent(pipeline, (size_t)sent);
  }
  watch_out(pipeline, false);
}

static void deliver(struct pipeline *pipeline, const uint8_t *answer, size_t length,
                    answer_handler *handler, void *context) {
  if (pipeline->answered == pipeline->unsent) fail("the broker answered a request nobody sent");
  uint32_t correlation_id = load32(answer);
  if (correlation_id != (uint32_t)pipeline->answered) {
    fail("the broker answered request %u where %u was next", correlation_id,
         (uint32_t)pipeline->answered);
  }
  handler(context, pipeline, slot_at(pipeline, pipeline->answered), answer, length);
  pipeline->answered++;
}

void pipeline_receive(struct pipeline *pipeline, answer_handler *handler, void *context) {
  ssize_t received = net_recv(pipeline->fd, pipeline->input + pipeline->input_bytes,
                              sizeof pipeline->input - pipeline->input_bytes, 0);
  if (received < 0) return;
  if (received == 0) fail("the broker closed the connection");
  pipeline->input_bytes += (size_t)received;
  size_t at = 0;
  while (pipeline->input_bytes - at >= FRAME_LENGTH_BYTES + 4) {
    size_t length = load32(pipeline->input + at);
    if (length < 4 || length > sizeof pipeline->input - FRAME_LENGTH_BYTES) {
      fail("the broker answered a frame of %zu bytes", length);
    }
    if (pipeline->input_bytes - at < FRAME_LENGTH_BYTES + length) break;
    deliver(pipeline, pipeline->input + at + FRAME_LENGTH_BYTES, length, handler, context);
    at += FRAME_LENGTH_BYTES + length;
  }
  pipeline->input_bytes -= at;
  memmove(pipeline->input, pipeline->input + at, pipeline->input_bytes);
}
