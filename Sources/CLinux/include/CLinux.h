// What Swift's importer cannot see of the kernel's interface: variadic calls, macros with
// arguments, and calls hidden behind _GNU_SOURCE. Declarations and one-line wrappers only.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
#include <linux/sockios.h>

static inline int clinux_fcntl_int(int fd, int command, int argument) {
  return fcntl(fd, command, argument);
}
static inline int clinux_ioctl_int(int fd, unsigned long request, int *value) {
  return ioctl(fd, request, value);
}
static inline int clinux_open(const char *path, int flags, unsigned mode) {
  return open(path, flags, mode);
}
static inline int clinux_openat(int dirfd, const char *path, int flags, unsigned mode) {
  return openat(dirfd, path, flags, mode);
}
static inline int clinux_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
  return accept4(fd, address, length, flags);
}
static inline int clinux_memfd_create(const char *name, unsigned flags) {
  return memfd_create(name, flags);
}
static inline int clinux_pidfd_open(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
static inline int clinux_fallocate(int fd, int mode, off_t offset, off_t length) {
  return fallocate(fd, mode, offset, length);
}
static inline int clinux_set_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, signal); }

enum {
  CLINUX_F_ADD_SEALS = F_ADD_SEALS,
  CLINUX_F_GET_SEALS = F_GET_SEALS,
  CLINUX_SEALS_SIZE = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
  CLINUX_SEALS_ALL = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL,
  CLINUX_MFD_FLAGS = MFD_CLOEXEC | MFD_ALLOW_SEALING,
  CLINUX_PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
  CLINUX_SIOCOUTQ = SIOCOUTQ,
  CLINUX_O_TMPFILE = O_TMPFILE,
  CLINUX_O_PATH = O_PATH,
  CLINUX_O_DIRECTORY = O_DIRECTORY,
};

// cmsg(3): room for `count` descriptors, and filling and reading the one control message we use.
static inline size_t clinux_cmsg_space(size_t count) { return CMSG_SPACE(sizeof(int) * count); }

static inline void clinux_cmsg_put_fds(struct msghdr *message, const int *fds, size_t count) {
  struct cmsghdr *header = CMSG_FIRSTHDR(message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * count);
  __builtin_memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
}

// Copies every descriptor of the control data into `fds` (room for `capacity`); descriptors beyond
// the capacity are closed and counted, so the caller sees a count it did not announce.
static inline size_t clinux_cmsg_take_fds(struct msghdr *message, int *fds, size_t capacity) {
  size_t count = 0;
  for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h; h = CMSG_NXTHDR(message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    size_t here = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < here; i++) {
      int fd;
      __builtin_memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof fd);
      if (count < capacity) fds[count] = fd; else close(fd);
      count++;
    }
  }
  return count;
}

// Shared memory between processes: C11 atomics on plain addresses of mapped memory.
static inline uint32_t clinux_load32(const void *p) { return atomic_load_explicit((const _Atomic uint32_t *)p, memory_order_acquire); }
static inline void clinux_store32(void *p, uint32_t v) { atomic_store_explicit((_Atomic uint32_t *)p, v, memory_order_release); }
static inline uint64_t clinux_load64(const void *p) { return atomic_load_explicit((const _Atomic uint64_t *)p, memory_order_acquire); }
static inline void clinux_store64(void *p, uint64_t v) { atomic_store_explicit((_Atomic uint64_t *)p, v, memory_order_release); }
static inline uint64_t clinux_relaxed64(const void *p) { return atomic_load_explicit((const _Atomic uint64_t *)p, memory_order_relaxed); }
static inline void clinux_store_relaxed64(void *p, uint64_t v) { atomic_store_explicit((_Atomic uint64_t *)p, v, memory_order_relaxed); }
static inline uint32_t clinux_exchange32(void *p, uint32_t v) { return atomic_exchange_explicit((_Atomic uint32_t *)p, v, memory_order_seq_cst); }
static inline void clinux_fence_acquire(void) { atomic_thread_fence(memory_order_acquire); }
static inline void clinux_fence_release(void) { atomic_thread_fence(memory_order_release); }
static inline void clinux_fence(void) { atomic_thread_fence(memory_order_seq_cst); }
