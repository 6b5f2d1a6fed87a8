// How requests name the topic: by name in older versions, by id in Produce 13 and Fetch 13.
#pragma once

#include "../base/bytes.h"

#define TOPIC_ID_BYTES 16

struct topic {
  const char *name;
  uint8_t id[TOPIC_ID_BYTES];
  uint32_t partitions;
};

void put_topic(struct writer *writer, const struct topic *topic, bool by_id, bool flexible);
void skip_topic(struct reader *reader, bool by_id, bool flexible);
