#include "frame.h"

#include "../base/fail.h"

static const struct {
  uint16_t api_key, first_flexible;
} apis[] = {{API_PRODUCE, 9}, {API_FETCH, 12}, {API_METADATA, 9}, {API_VERSIONS, 3},
            {API_CREATE_TOPICS, 5}};

bool is_flexible(enum api_key api_key, uint16_t version) {
  for (size_t i = 0; i < sizeof apis / sizeof *apis; i++) {
    if (apis[i].api_key == (uint16_t)api_key) return version >= apis[i].first_flexible;
  }
  fail("bug: API %d is not in the table", (int)api_key);
}

void put_request_header(struct writer *writer, enum api_key api_key, uint16_t version,
                        uint32_t correlation_id) {
  put32(writer, 0);
  put16(writer, (uint16_t)api_key);
  put16(writer, version);
  put32(writer, correlation_id);
  put_string(writer, "bench", false);
  put_no_tags(writer, is_flexible(api_key, version));
}

void put_response_header(struct writer *writer, uint32_t correlation_id, bool flexible) {
  put32(writer, 0);
  put32(writer, correlation_id);
  put_no_tags(writer, flexible);
}

size_t finish_frame(struct writer *writer) {
  size_t length = writer_length(writer);
  store32(writer->start, (uint32_t)(length - FRAME_LENGTH_BYTES));
  return length;
}

struct request_header get_request_header(struct reader *reader) {
  struct request_header header;
  header.api_key = get16(reader);
  header.api_version = get16(reader);
  header.correlation_id = get32(reader);
  skip_string(reader, false);
  if (header.api_key == API_PRODUCE || header.api_key == API_FETCH) {
    skip_tags(reader, is_flexible((enum api_key)header.api_key, header.api_version));
  }
  return header;
}

uint32_t get_response_header(struct reader *reader, bool flexible) {
  uint32_t correlation_id = get32(reader);
  skip_tags(reader, flexible);
  return correlation_id;
}

const char *error_name(int16_t code) {
  switch (code) {
    case -1: return "UNKNOWN_SERVER_ERROR";
    case 0: return "NONE";
    case 1: return "OFFSET_OUT_OF_RANGE";
    case 2: return "CORRUPT_MESSAGE";
    case 3: return "UNKNOWN_TOPIC_OR_PARTITION";
    case 5: return "LEADER_NOT_AVAILABLE";
    case 6: return "NOT_LEADER_OR_FOLLOWER";
    case 7: return "REQUEST_TIMED_OUT";
    case 10: return "MESSAGE_TOO_LARGE";
    case 35: return "UNSUPPORTED_VERSION";
    case 36: return "TOPIC_ALREADY_EXISTS";
    case 56: return "KAFKA_STORAGE_ERROR";
    case 87: return "INVALID_RECORD";
    case 100: return "UNKNOWN_TOPIC_ID";
    default: return "another error";
  }
}
