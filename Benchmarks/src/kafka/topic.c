#include "topic.h"

void put_topic(struct writer *writer, const struct topic *topic, bool by_id, bool flexible) {
  if (by_id) {
    put_bytes(writer, topic->id, TOPIC_ID_BYTES);
  } else {
    put_string(writer, topic->name, flexible);
  }
}

void skip_topic(struct reader *reader, bool by_id, bool flexible) {
  if (by_id) {
    get_bytes(reader, TOPIC_ID_BYTES);
  } else {
    skip_string(reader, flexible);
  }
}
