// Fetch, versions 4 to 17, for requests of one partition outside any fetch session.
#pragma once

#include "batch.h"
#include "frame.h"
#include "topic.h"

#define FETCH_VERSION_MIN 4
#define FETCH_VERSION_MAX 17
// The first version that names topics by id.
#define FETCH_VERSION_ID 13
#define FETCH_REQUEST_BYTES_MAX 512
// Enough of a response to hold everything before the records, and the first batch's header.
#define FETCH_HEAD_BYTES_MAX 512

struct fetch_request {
  uint32_t partition;
  uint64_t fetch_offset;
  uint32_t max_wait_ms;
  uint32_t min_bytes;
  uint32_t max_bytes;
  uint32_t partition_max_bytes;
};

// What precedes the records of a response.
struct fetch_response {
  uint32_t correlation_id;
  int16_t error_code;  // the partition's, or the whole response's
  uint32_t partition;
  uint64_t high_watermark;
  uint32_t records_bytes;
  bool has_partition;  // false when the broker had nothing to say about it
};

size_t fetch_request_write(uint8_t *frame, size_t capacity, uint16_t version,
                           const struct topic *topic, const struct fetch_request *request);
// Reads what follows the request header; false if it is not for one partition.
bool fetch_request_read(struct reader *reader, uint16_t version, struct fetch_request *request);

// Writes the frame up to its records, and their length and what follows them into its length
// field. Returns the length of that head.
size_t fetch_response_head_write(uint8_t *frame, size_t capacity, uint16_t version,
                                 const struct topic *topic, const struct fetch_response *response);
// How many zero bytes follow the records: the empty tagged fields of three levels.
size_t fetch_response_tail_bytes(uint16_t version);

// Reads up to the records and leaves the reader there; false if it is not for one partition.
bool fetch_response_head_read(struct reader *reader, uint16_t version,
                              struct fetch_response *response);
