#include "server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/fail.h"
#include "../base/net.h"

#define EVENTS_MAX 128

static int epoll = -1;

static void accept_one(const struct server *server, int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
    fail_errno("accept");
  }
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct peer *peer = server->opened(fd);
  peer->fd = fd;
  epoll_add(epoll, fd, EPOLLIN, peer);
}

static void handle(const struct server *server, const struct epoll_event *event,
                   const struct peer *channel) {
  struct peer *peer = event->data.ptr;
  if (server->ready(peer, event->events)) return;
  if (peer == channel) fail("the other process is gone");
  close(peer->fd);
  peer->fd = -1;
  server->closed(peer);
}

void server_run(const struct server *server, uint16_t port, struct peer *channel) {
  int listener = net_listen(&port);
  epoll = epoll_new();
  epoll_add(epoll, listener, EPOLLIN, NULL);
  if (channel) epoll_add(epoll, channel->fd, EPOLLIN, channel);
  printf("listening %u\n", port);
  fflush(stdout);
  for (;;) {
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
    for (int i = 0; i < count; i++) {
      if (events[i].data.ptr == NULL) {
        accept_one(server, listener);
      } else {
        handle(server, &events[i], channel);
      }
    }
    if (server->round_ended) server->round_ended();
  }
}

void server_watch_out(struct peer *peer, bool wanted) {
  if (peer->wants_out == wanted) return;
  peer->wants_out = wanted;
  epoll_modify(epoll, peer->fd, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, peer);
}
