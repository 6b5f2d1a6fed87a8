// What a benchmark asks a broker before the measured part: versions, metadata, topics. One request
// at a time on a blocking connection; speed does not matter here.
#pragma once

#include "frame.h"
#include "topic.h"

struct version_range {
  uint16_t low, high;
};

// The versions of `api_key` that the broker serves; fails if it serves none.
struct version_range admin_versions(int fd, enum api_key api_key);

// Creates a topic with replication factor 1. The error code, which may be that it exists.
int16_t admin_create_topic(int fd, const char *name, uint32_t partitions);

// Fills in the id and the number of partitions of topic->name. True when the topic and all its
// partitions are free of errors and have a leader. *broken is set when the connection was closed.
bool admin_describe_topic(int fd, uint16_t metadata_version, struct topic *topic, bool *broken);

// The metadata version to speak: 12, which has topic ids, or an older one for an older broker.
uint16_t admin_metadata_version(int fd);
