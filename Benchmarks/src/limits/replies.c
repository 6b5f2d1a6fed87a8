#include "replies.h"

#include <string.h>

#include "../base/fail.h"
#include "../base/net.h"

// The response of the version that the load speaks, built once.
static struct {
  uint16_t version;
  size_t length, base_offset_at;
  uint8_t frame[PRODUCE_OVERHEAD_MAX];
} template;

static void build(uint16_t version) {
  static const struct topic topic = {.name = "bench"};
  static const struct produce_response response;
  template.length = produce_response_write(template.frame, sizeof template.frame, version, &topic,
                                           &response, &template.base_offset_at);
  template.version = version;
}

void replies_add(struct replies *replies, uint16_t version,
                 const struct produce_response *response) {
  if (template.version != version) build(version);
  if (replies->last + template.length > sizeof replies->bytes) {
    if (replies->first == 0) fail("a client does not read its responses");
    memmove(replies->bytes, replies->bytes + replies->first, replies->last - replies->first);
    replies->last -= replies->first;
    replies->first = 0;
    replies_add(replies, version, response);
    return;
  }
  uint8_t *frame = replies->bytes + replies->last;
  memcpy(frame, template.frame, template.length);
  store32(frame + RESPONSE_CORRELATION_AT, response->correlation_id);
  // Partition, error code and base offset are neighbours.
  store32(frame + template.base_offset_at - 6, response->partition);
  store64(frame + template.base_offset_at, response->base_offset);
  replies->last += template.length;
}

bool replies_flush(struct replies *replies, struct peer *peer) {
  while (replies->first < replies->last) {
    ssize_t sent = net_send(peer->fd, replies->bytes + replies->first,
                            replies->last - replies->first, 0);
    if (sent == 0) return false;
    if (sent < 0) {
      server_watch_out(peer, true);
      return true;
    }
    replies->first += (size_t)sent;
  }
  replies->first = replies->last = 0;
  server_watch_out(peer, false);
  return true;
}
