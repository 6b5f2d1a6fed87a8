#include "admin.h"

#include <stdlib.h>
#include <string.h>

#include "../base/fail.h"
#include "../base/net.h"

#define METADATA_VERSION_NEW 12
#define METADATA_VERSION_OLD 4
#define CREATE_TOPICS_VERSION 4
#define REQUEST_BYTES_MAX 1024
#define CREATE_TIMEOUT_MS 60000

// A response frame after its length field; `bytes` is NULL when the broker closed the connection.
struct answer {
  uint8_t *bytes;
  struct reader reader;
};

static bool receive_all(int fd, uint8_t *bytes, size_t length) {
  for (size_t have = 0; have < length;) {
    ssize_t received = net_recv(fd, bytes + have, length - have, 0);
    if (received <= 0) return false;
    have += (size_t)received;
  }
  return true;
}

static struct answer ask(int fd, struct writer *request, bool flexible_header) {
  struct answer answer = {0};
  size_t length = finish_frame(request);
  set_blocking(fd, true);
  uint8_t head[FRAME_LENGTH_BYTES];
  if (net_send(fd, request->start, length, 0) == (ssize_t)length &&
      receive_all(fd, head, sizeof head)) {
    uint32_t body = load32(head);
    answer.bytes = malloc(body);
    if (answer.bytes && receive_all(fd, answer.bytes, body)) {
      answer.reader = reader_over(answer.bytes, body);
      get_response_header(&answer.reader, flexible_header);
    } else {
      free(answer.bytes);
      answer.bytes = NULL;
    }
  }
  set_blocking(fd, false);
  return answer;
}

static bool find_versions(int fd, enum api_key api_key, struct version_range *range) {
  uint8_t request[REQUEST_BYTES_MAX];
  struct writer writer = writer_over(request, sizeof request);
  put_request_header(&writer, API_VERSIONS, 0, 0);
  struct answer answer = ask(fd, &writer, false);
  if (!answer.bytes) fail("the broker closed the connection on ApiVersions");
  struct reader *reader = &answer.reader;
  int16_t error_code = (int16_t)get16(reader);
  if (error_code != 0) fail("ApiVersions: %s (%d)", error_name(error_code), error_code);
  bool found = false;
  for (uint32_t count = get_count(reader, false); count > 0 && !reader->bad; count--) {
    uint16_t key = get16(reader), low = get16(reader), high = get16(reader);
    if (key != (uint16_t)api_key) continue;
    *range = (struct version_range){low, high};
    found = true;
  }
  if (reader->bad) fail("the broker's ApiVersions response is malformed");
  free(answer.bytes);
  return found;
}

struct version_range admin_versions(int fd, enum api_key api_key) {
  struct version_range range;
  if (!find_versions(fd, api_key, &range)) fail("the broker does not serve API %d", (int)api_key);
  return range;
}

uint16_t admin_metadata_version(int fd) {
  struct version_range range = admin_versions(fd, API_METADATA);
  if (range.high >= METADATA_VERSION_NEW) return METADATA_VERSION_NEW;
  if (range.high >= METADATA_VERSION_OLD) return METADATA_VERSION_OLD;
  fail("the broker's Metadata ends at version %u", range.high);
}

int16_t admin_create_topic(int fd, const char *name, uint32_t partitions) {
  uint8_t request[REQUEST_BYTES_MAX];
  struct writer writer = writer_over(request, sizeof request);
  put_request_header(&writer, API_CREATE_TOPICS, CREATE_TOPICS_VERSION, 0);
  put_count(&writer, 1, false);
  put_string(&writer, name, false);
  put32(&writer, partitions);
  put16(&writer, 1);             // replicationFactor
  put_count(&writer, 0, false);  // assignments
  put_count(&writer, 0, false);  // configs
  put32(&writer, CREATE_TIMEOUT_MS);
  put8(&writer, 0);  // validateOnly
  struct answer answer = ask(fd, &writer, false);
  if (!answer.bytes) fail("the broker closed the connection on CreateTopics");
  get32(&answer.reader);
  if (get_count(&answer.reader, false) != 1) fail("CreateTopics did not answer for one topic");
  skip_string(&answer.reader, false);
  int16_t error_code = (int16_t)get16(&answer.reader);
  if (answer.reader.bad) fail("the broker's CreateTopics response is malformed");
  free(answer.bytes);
  return error_code;
}

static void skip_int32_array(struct reader *reader, bool flexible) {
  get_bytes(reader, (size_t)get_count(reader, flexible) * 4);
}

// True when the partition has no error and a leader.
static bool get_partition(struct reader *reader, uint16_t version, bool flexible) {
  int16_t error_code = (int16_t)get16(reader);
  get32(reader);
  int32_t leader = (int32_t)get32(reader);
  if (version >= 7) get32(reader);
  skip_int32_array(reader, flexible);
  skip_int32_array(reader, flexible);
  if (version >= 5) skip_int32_array(reader, flexible);
  skip_tags(reader, flexible);
  return error_code == 0 && leader >= 0;
}

static void skip_brokers(struct reader *reader, bool flexible) {
  for (uint32_t brokers = get_count(reader, flexible); brokers > 0; brokers--) {
    get32(reader);
    skip_string(reader, flexible);
    get32(reader);
    skip_string(reader, flexible);
    skip_tags(reader, flexible);
  }
}

static bool read_metadata(struct reader *reader, uint16_t version, struct topic *topic) {
  bool flexible = is_flexible(API_METADATA, version);
  get32(reader);
  skip_brokers(reader, flexible);
  skip_string(reader, flexible);  // clusterId
  get32(reader);                  // controllerId
  if (get_count(reader, flexible) != 1) return false;
  int16_t error_code = (int16_t)get16(reader);
  skip_string(reader, flexible);
  if (version >= 10) {
    const uint8_t *id = get_bytes(reader, TOPIC_ID_BYTES);
    if (id) memcpy(topic->id, id, TOPIC_ID_BYTES);
  }
  get8(reader);  // isInternal
  topic->partitions = get_count(reader, flexible);
  bool ready = error_code == 0 && topic->partitions > 0;
  for (uint32_t i = 0; i < topic->partitions; i++) {
    if (!get_partition(reader, version, flexible)) ready = false;
  }
  return ready && !reader->bad;
}

bool admin_describe_topic(int fd, uint16_t version, struct topic *topic, bool *broken) {
  bool flexible = is_flexible(API_METADATA, version);
  uint8_t request[REQUEST_BYTES_MAX];
  struct writer writer = writer_over(request, sizeof request);
  put_request_header(&writer, API_METADATA, version, 0);
  put_count(&writer, 1, flexible);
  if (version >= 10) put_bytes(&writer, (uint8_t[TOPIC_ID_BYTES]){0}, TOPIC_ID_BYTES);
  put_string(&writer, topic->name, flexible);
  put_no_tags(&writer, flexible);
  put8(&writer, 0);                     // allowAutoTopicCreation
  if (version >= 8) put8(&writer, 0);   // includeTopicAuthorizedOperations
  put_no_tags(&writer, flexible);
  struct answer answer = ask(fd, &writer, flexible);
  *broken = answer.bytes == NULL;
  bool ready = !*broken && read_metadata(&answer.reader, version, topic);
  free(answer.bytes);
  return ready;
}
