// The event loop that the limit programs share: one thread, one epoll, level-triggered. What a
// program does with its connections is its own.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// A program's connections start with this.
struct peer {
  int fd;
  bool wants_out;
};

struct server {
  // A new connection; what is returned comes back in `ready`.
  struct peer *(*opened)(int fd);
  // Readable or writable. False ends the connection: `closed` frees it.
  bool (*ready)(struct peer *peer, uint32_t events);
  void (*closed)(struct peer *peer);
  // After all events of one epoll_wait were handled; may be NULL.
  void (*round_ended)(void);
};

// Prints "listening PORT" and serves until killed. `channel`, if any, is watched like a connection
// that must never end.
_Noreturn void server_run(const struct server *server, uint16_t port, struct peer *channel);

// Watches for room in the socket, or stops watching.
void server_watch_out(struct peer *peer, bool wanted);
