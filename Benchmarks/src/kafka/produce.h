// Produce, versions 3 to 13, for requests of one batch for one partition.
#pragma once

#include "batch.h"
#include "frame.h"
#include "topic.h"

#define PRODUCE_VERSION_MIN 3
#define PRODUCE_VERSION_MAX 13
// The first version that names topics by id.
#define PRODUCE_VERSION_ID 13
// Room for a frame beyond its batch, and for a response.
#define PRODUCE_OVERHEAD_MAX 512

struct produce_request {
  int16_t acks;
  uint32_t partition;
  uint32_t batch_bytes;
  const uint8_t *batch;
};

struct produce_response {
  uint32_t correlation_id;
  uint32_t partition;
  int16_t error_code;
  uint64_t base_offset;
};

// Writes the whole frame; returns its length.
size_t produce_request_write(uint8_t *frame, size_t capacity, uint16_t version,
                             const struct topic *topic, const struct produce_request *request);
// Reads what follows the request header; false if it is not one batch for one partition.
bool produce_request_read(struct reader *reader, uint16_t version,
                          struct produce_request *request);

// `base_offset_at` is where the base offset lies in the frame, for patching it in later.
size_t produce_response_write(uint8_t *frame, size_t capacity, uint16_t version,
                              const struct topic *topic, const struct produce_response *response,
                              size_t *base_offset_at);
// Over a frame after its length field; false if it is not well-formed.
bool produce_response_read(const uint8_t *bytes, size_t length, uint16_t version,
                           struct produce_response *response);
