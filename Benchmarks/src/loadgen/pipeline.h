// A connection with many requests in flight. Frames are built elsewhere and shared; only the
// correlation id differs between two requests, so each slot holds the first bytes of its frame and
// the kernel gathers the rest from the shared one.
//
// Slots are a ring of `capacity`: [answered, unsent) wait for an answer, [unsent, issued) for the
// socket. Correlation ids are the low 32 bits of the slot's number, and answers arrive in order.
#pragma once

#include "../kafka/frame.h"

#define SLOT_HEAD_BYTES 12
#define PIPELINE_INPUT_BYTES 8192

struct request_frame {
  uint8_t *bytes;
  size_t length;
};

struct slot {
  uint64_t intended_ns;
  const struct request_frame *frame;
  uint8_t head[SLOT_HEAD_BYTES];
};

struct pipeline {
  int fd, epoll;
  uint64_t capacity, answered, unsent, issued;
  size_t sent_bytes;  // of the slot `unsent`
  bool wants_out;
  struct slot *slots;
  size_t input_bytes;
  uint8_t input[PIPELINE_INPUT_BYTES];
};

// Called for every answer, in order, with the frame after its length field.
typedef void answer_handler(void *context, struct pipeline *pipeline, const struct slot *slot,
                            const uint8_t *answer, size_t length);

void pipeline_open(struct pipeline *pipeline, int fd, int epoll, uint64_t capacity);

static inline bool pipeline_has_room(const struct pipeline *pipeline) {
  return pipeline->issued - pipeline->answered < pipeline->capacity;
}

static inline bool pipeline_is_idle(const struct pipeline *pipeline) {
  return pipeline->issued == pipeline->answered;
}

// Takes a slot; there must be room. Nothing is sent before the next flush.
void pipeline_issue(struct pipeline *pipeline, const struct request_frame *frame,
                    uint64_t intended_ns);
// Sends what the socket takes, and watches for more room when that is not all.
void pipeline_flush(struct pipeline *pipeline);
// Reads what has arrived and hands on every whole answer; fails when the peer closed the
// connection or answered another request than the oldest.
void pipeline_receive(struct pipeline *pipeline, answer_handler *handler, void *context);
