// Small response frames on their way out of one connection: collected during a round, sent with
// one call at its end. Every response is the same well-formed Produce response; only the
// correlation id, the partition and the base offset differ.
#pragma once

#include "../kafka/produce.h"
#include "server.h"

#define REPLIES_BYTES_MAX (64u << 10)

struct replies {
  size_t first, last;  // the bytes not yet sent
  uint8_t bytes[REPLIES_BYTES_MAX];
};

void replies_add(struct replies *replies, uint16_t version,
                 const struct produce_response *response);
// Sends what the socket takes and watches for room for the rest; false when the peer is gone.
bool replies_flush(struct replies *replies, struct peer *peer);
