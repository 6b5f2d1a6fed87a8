// Sockets of the benchmark: IPv4 loopback, Nagle off, close-on-exec, failing loudly.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// A listener on 127.0.0.1; port 0 lets the kernel choose. The port in use is stored in *port.
int net_listen(uint16_t *port);

// A non-blocking connection, or -1 with errno when the peer refuses.
int net_try_connect(const char *address, uint16_t port);
int net_connect(const char *address, uint16_t port);

// What recv and send answer, with EINTR retried: bytes, 0 at the end of the stream, or -1 when the
// socket would block. An error of the connection counts as its end.
ssize_t net_recv(int fd, void *bytes, size_t length, int flags);
ssize_t net_send(int fd, const void *bytes, size_t length, int flags);

void set_blocking(int fd, bool blocking);

int epoll_new(void);
void epoll_add(int epoll, int fd, uint32_t events, void *context);
void epoll_modify(int epoll, int fd, uint32_t events, void *context);
