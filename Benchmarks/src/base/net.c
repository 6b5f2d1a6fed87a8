#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fail.h"

static struct sockaddr_in address_of(const char *address, uint16_t port) {
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, address, &name.sin_addr) != 1) fail("%s is no IPv4 address", address);
  return name;
}

int net_listen(uint16_t *port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail_errno("socket");
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in name = address_of("127.0.0.1", *port);
  socklen_t length = sizeof name;
  if (bind(fd, (struct sockaddr *)&name, length) < 0) fail_errno("bind to port %u", *port);
  if (listen(fd, SOMAXCONN) < 0) fail_errno("listen");
  if (getsockname(fd, (struct sockaddr *)&name, &length) < 0) fail_errno("getsockname");
  *port = ntohs(name.sin_port);
  return fd;
}

int net_try_connect(const char *address, uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail_errno("socket");
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct sockaddr_in name = address_of(address, port);
  if (connect(fd, (struct sockaddr *)&name, sizeof name) < 0) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  set_blocking(fd, false);
  return fd;
}

int net_connect(const char *address, uint16_t port) {
  int fd = net_try_connect(address, port);
  if (fd < 0) fail_errno("connect to %s:%u", address, port);
  return fd;
}

ssize_t net_recv(int fd, void *bytes, size_t length, int flags) {
  for (;;) {
    ssize_t received = recv(fd, bytes, length, flags);
    if (received >= 0) return received;
    if (errno == EAGAIN) return -1;
    if (errno != EINTR) return 0;
  }
}

ssize_t net_send(int fd, const void *bytes, size_t length, int flags) {
  for (;;) {
    ssize_t sent = send(fd, bytes, length, flags | MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    if (errno == EAGAIN) return -1;
    if (errno != EINTR) return 0;
  }
}

void set_blocking(int fd, bool blocking) {
  int flags = fcntl(fd, F_GETFL);
  if (fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) < 0) {
    fail_errno("fcntl");
  }
}

int epoll_new(void) {
  int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) fail_errno("epoll_create1");
  return fd;
}

void epoll_add(int epoll, int fd, uint32_t events, void *context) {
  struct epoll_event event = {.events = events, .data.ptr = context};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail_errno("epoll_ctl add");
}

void epoll_modify(int epoll, int fd, uint32_t events, void *context) {
  struct epoll_event event = {.events = events, .data.ptr = context};
  if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) < 0) fail_errno("epoll_ctl modify");
}
