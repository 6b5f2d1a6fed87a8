// Frames and headers of Kafka's protocol: a 4-byte length, then header and body.
//
// Requests:  length i32, apiKey i16, apiVersion i16, correlationId i32, clientId string, [tags]
// Responses: length i32, correlationId i32, [tags]
#pragma once

#include "../base/bytes.h"

enum api_key {
  API_PRODUCE = 0,
  API_FETCH = 1,
  API_METADATA = 3,
  API_VERSIONS = 18,
  API_CREATE_TOPICS = 19,
};

#define FRAME_LENGTH_BYTES 4u
// Where the correlation id lies, counted from the start of the frame.
#define REQUEST_CORRELATION_AT 8u
#define RESPONSE_CORRELATION_AT 4u

struct request_header {
  uint16_t api_key;
  uint16_t api_version;
  uint32_t correlation_id;
};

// From this version on an API uses compact types and tagged fields.
bool is_flexible(enum api_key api_key, uint16_t version);

void put_request_header(struct writer *writer, enum api_key api_key, uint16_t version,
                        uint32_t correlation_id);
void put_response_header(struct writer *writer, uint32_t correlation_id, bool flexible);
// Fills in the length at the start of the frame; returns the length of the whole frame.
size_t finish_frame(struct writer *writer);

// Over a frame whose length field was already read.
struct request_header get_request_header(struct reader *reader);
uint32_t get_response_header(struct reader *reader, bool flexible);

// Kafka's name of an error code, for messages.
const char *error_name(int16_t code);
