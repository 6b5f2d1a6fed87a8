#include "produce.h"

#define TIMEOUT_MS 30000

size_t produce_request_write(uint8_t *frame, size_t capacity, uint16_t version,
                             const struct topic *topic, const struct produce_request *request) {
  bool flexible = is_flexible(API_PRODUCE, version);
  struct writer writer = writer_over(frame, capacity);
  put_request_header(&writer, API_PRODUCE, version, 0);
  put_null_string(&writer, flexible);  // transactionalId
  put16(&writer, (uint16_t)request->acks);
  put32(&writer, TIMEOUT_MS);
  put_count(&writer, 1, flexible);
  put_topic(&writer, topic, version >= PRODUCE_VERSION_ID, flexible);
  put_count(&writer, 1, flexible);
  put32(&writer, request->partition);
  put_count(&writer, request->batch_bytes, flexible);  // records: bytes have the form of an array
  put_bytes(&writer, request->batch, request->batch_bytes);
  put_no_tags(&writer, flexible);
  put_no_tags(&writer, flexible);
  put_no_tags(&writer, flexible);
  return finish_frame(&writer);
}

bool produce_request_read(struct reader *reader, uint16_t version,
                          struct produce_request *request) {
  bool flexible = is_flexible(API_PRODUCE, version);
  skip_string(reader, flexible);
  request->acks = (int16_t)get16(reader);
  get32(reader);
  if (get_count(reader, flexible) != 1) return false;
  skip_topic(reader, version >= PRODUCE_VERSION_ID, flexible);
  if (get_count(reader, flexible) != 1) return false;
  request->partition = get32(reader);
  request->batch_bytes = get_bytes_length(reader, flexible);
  request->batch = get_bytes(reader, request->batch_bytes);
  for (int depth = 0; depth < 3; depth++) skip_tags(reader, flexible);
  return !reader->bad && reader_left(reader) == 0;
}

size_t produce_response_write(uint8_t *frame, size_t capacity, uint16_t version,
                              const struct topic *topic, const struct produce_response *response,
                              size_t *base_offset_at) {
  bool flexible = is_flexible(API_PRODUCE, version);
  struct writer writer = writer_over(frame, capacity);
  put_response_header(&writer, response->correlation_id, flexible);
  put_count(&writer, 1, flexible);
  put_topic(&writer, topic, version >= PRODUCE_VERSION_ID, flexible);
  put_count(&writer, 1, flexible);
  put32(&writer, response->partition);
  put16(&writer, (uint16_t)response->error_code);
  *base_offset_at = writer_length(&writer);
  put64(&writer, response->base_offset);
  put64(&writer, UINT64_MAX);               // logAppendTimeMs
  if (version >= 5) put64(&writer, 0);      // logStartOffset
  if (version >= 8) {
    put_count(&writer, 0, flexible);        // recordErrors
    put_null_string(&writer, flexible);     // errorMessage
  }
  put_no_tags(&writer, flexible);
  put_no_tags(&writer, flexible);
  put32(&writer, 0);  // throttleTimeMs
  put_no_tags(&writer, flexible);
  return finish_frame(&writer);
}

static void get_partition_response(struct reader *reader, uint16_t version,
                                   struct produce_response *response) {
  bool flexible = is_flexible(API_PRODUCE, version);
  response->partition = get32(reader);
  response->error_code = (int16_t)get16(reader);
  response->base_offset = get64(reader);
  get64(reader);
  if (version >= 5) get64(reader);
  if (version >= 8) {
    for (uint32_t errors = get_count(reader, flexible); errors > 0; errors--) {
      get32(reader);
      skip_string(reader, flexible);
      skip_tags(reader, flexible);
    }
    skip_string(reader, flexible);
  }
  skip_tags(reader, flexible);
}

bool produce_response_read(const uint8_t *bytes, size_t length, uint16_t version,
                           struct produce_response *response) {
  bool flexible = is_flexible(API_PRODUCE, version);
  struct reader reader = reader_over(bytes, length);
  response->correlation_id = get_response_header(&reader, flexible);
  if (get_count(&reader, flexible) != 1) return false;
  skip_topic(&reader, version >= PRODUCE_VERSION_ID, flexible);
  if (get_count(&reader, flexible) != 1) return false;
  get_partition_response(&reader, version, response);
  skip_tags(&reader, flexible);
  get32(&reader);
  skip_tags(&reader, flexible);
  return !reader.bad && reader_left(&reader) == 0;
}
