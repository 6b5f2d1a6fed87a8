#include "fetch.h"

size_t fetch_request_write(uint8_t *frame, size_t capacity, uint16_t version,
                           const struct topic *topic, const struct fetch_request *request) {
  bool flexible = is_flexible(API_FETCH, version);
  struct writer writer = writer_over(frame, capacity);
  put_request_header(&writer, API_FETCH, version, 0);
  if (version <= 14) put32(&writer, UINT32_MAX);  // replicaId: a consumer
  put32(&writer, request->max_wait_ms);
  put32(&writer, request->min_bytes);
  put32(&writer, request->max_bytes);
  put8(&writer, 0);  // isolationLevel: read uncommitted
  if (version >= 7) {
    put32(&writer, 0);           // sessionId
    put32(&writer, UINT32_MAX);  // sessionEpoch: no session
  }
  put_count(&writer, 1, flexible);
  put_topic(&writer, topic, version >= FETCH_VERSION_ID, flexible);
  put_count(&writer, 1, flexible);
  put32(&writer, request->partition);
  if (version >= 9) put32(&writer, UINT32_MAX);  // currentLeaderEpoch: unknown
  put64(&writer, request->fetch_offset);
  if (version >= 12) put32(&writer, UINT32_MAX);  // lastFetchedEpoch
  if (version >= 5) put64(&writer, UINT64_MAX);   // logStartOffset, of followers only
  put32(&writer, request->partition_max_bytes);
  put_no_tags(&writer, flexible);
  put_no_tags(&writer, flexible);
  if (version >= 7) put_count(&writer, 0, flexible);     // forgottenTopicsData
  if (version >= 11) put_string(&writer, "", flexible);  // rackId
  put_no_tags(&writer, flexible);
  return finish_frame(&writer);
}

bool fetch_request_read(struct reader *reader, uint16_t version, struct fetch_request *request) {
  bool flexible = is_flexible(API_FETCH, version);
  if (version <= 14) get32(reader);
  request->max_wait_ms = get32(reader);
  request->min_bytes = get32(reader);
  request->max_bytes = get32(reader);
  get8(reader);
  if (version >= 7) get64(reader);
  if (get_count(reader, flexible) != 1) return false;
  skip_topic(reader, version >= FETCH_VERSION_ID, flexible);
  if (get_count(reader, flexible) != 1) return false;
  request->partition = get32(reader);
  if (version >= 9) get32(reader);
  request->fetch_offset = get64(reader);
  if (version >= 12) get32(reader);
  if (version >= 5) get64(reader);
  request->partition_max_bytes = get32(reader);
  return !reader->bad;
}

size_t fetch_response_head_write(uint8_t *frame, size_t capacity, uint16_t version,
                                 const struct topic *topic,
                                 const struct fetch_response *response) {
  bool flexible = is_flexible(API_FETCH, version);
  struct writer writer = writer_over(frame, capacity);
  put_response_header(&writer, response->correlation_id, flexible);
  put32(&writer, 0);  // throttleTimeMs
  if (version >= 7) {
    put16(&writer, 0);
    put32(&writer, 0);  // sessionId
  }
  put_count(&writer, 1, flexible);
  put_topic(&writer, topic, version >= FETCH_VERSION_ID, flexible);
  put_count(&writer, 1, flexible);
  put32(&writer, response->partition);
  put16(&writer, (uint16_t)response->error_code);
  put64(&writer, response->high_watermark);
  put64(&writer, response->high_watermark);  // lastStableOffset
  if (version >= 5) put64(&writer, 0);       // logStartOffset
  put_count(&writer, 0, flexible);           // abortedTransactions
  if (version >= 11) put32(&writer, UINT32_MAX);  // preferredReadReplica
  put_count(&writer, response->records_bytes, flexible);
  size_t head = finish_frame(&writer);
  size_t frame_bytes = head + response->records_bytes + fetch_response_tail_bytes(version);
  store32(frame, (uint32_t)(frame_bytes - FRAME_LENGTH_BYTES));
  return head;
}

size_t fetch_response_tail_bytes(uint16_t version) {
  return is_flexible(API_FETCH, version) ? 3 : 0;
}

static void get_partition_head(struct reader *reader, uint16_t version,
                               struct fetch_response *response) {
  bool flexible = is_flexible(API_FETCH, version);
  response->partition = get32(reader);
  int16_t error_code = (int16_t)get16(reader);
  if (response->error_code == 0) response->error_code = error_code;
  response->high_watermark = get64(reader);
  get64(reader);
  if (version >= 5) get64(reader);
  for (uint32_t aborted = get_count(reader, flexible); aborted > 0; aborted--) {
    get_bytes(reader, 16);
    skip_tags(reader, flexible);
  }
  if (version >= 11) get32(reader);
  response->records_bytes = get_bytes_length(reader, flexible);
}

bool fetch_response_head_read(struct reader *reader, uint16_t version,
                              struct fetch_response *response) {
  bool flexible = is_flexible(API_FETCH, version);
  *response = (struct fetch_response){.correlation_id = get_response_header(reader, flexible)};
  get32(reader);
  if (version >= 7) {
    response->error_code = (int16_t)get16(reader);
    get32(reader);
  }
  uint32_t topics = get_count(reader, flexible);
  if (topics == 0) return !reader->bad;
  skip_topic(reader, version >= FETCH_VERSION_ID, flexible);
  if (topics != 1 || get_count(reader, flexible) != 1) return false;
  get_partition_head(reader, version, response);
  response->has_partition = true;
  return !reader->bad;
}
