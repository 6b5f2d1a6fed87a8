// What Swift's importer cannot see of the kernel's interface: variadic calls, macros with
// arguments, and calls hidden behind _GNU_SOURCE. Declarations and one-line wrappers only.
#pragma once
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>

int clinux_fcntl_int(int fd, int command, int argument);
int clinux_ioctl_int(int fd, unsigned long request, int *value);
int clinux_terminal_size(int fd, int *rows, int *columns);
int clinux_open(const char *path, int flags, unsigned mode);
int clinux_openat(int dirfd, const char *path, int flags, unsigned mode);
int clinux_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int clinux_memfd_create(const char *name, unsigned flags);
int clinux_pidfd_open(int pid);
int clinux_fallocate(int fd, int mode, off_t offset, off_t length);
int clinux_set_death_signal(int signal);
int clinux_syncfs(int fd);
/// sync_file_range(2) with SYNC_FILE_RANGE_WRITE.
int clinux_begin_writeback(int fd, off_t offset, off_t count);
/// preadv2(2) with RWF_NOWAIT: what would have to wait for a disk fails with EAGAIN.
ssize_t clinux_read_cached(int fd, void *buffer, size_t count, off_t offset);
int clinux_readahead(int fd, off_t offset, size_t count);
/// copy_file_range(2) from the file offset of neither descriptor.
ssize_t clinux_copy_file_range(int from, int64_t from_offset, int to, int64_t to_offset,
                               size_t count);
/// Takes or gives up an exclusive lock on the whole file without waiting (fcntl(2) F_OFD_SETLK).
int clinux_lock_file(int fd);
int clinux_unlock_file(int fd);

/// Starts a program with listening sockets as sd_listen_fds(3) wants them: `fds` become 3, 4, …, and
/// the child's pid is written in decimal to `listen_pid_value`, which points into `environment` and
/// has room for 11 bytes. The child has a process group of its own, default signals and is sent
/// SIGTERM when its parent dies. Returns the pid, or -1 with errno.
int clinux_spawn(const char *path, char *const arguments[], char *const environment[],
                 char *listen_pid_value, const int *fds, size_t fd_count);

/// Waits for a child that has ended: its pid with `code` and `signal` set (one of them 0), 0 while it
/// runs, -1 with errno.
int clinux_reap(int pid, int *code, int *signal);

/// The process at the other end of a Unix socket (SO_PEERCRED).
struct clinux_peer {
  int pid;
  unsigned uid;
  unsigned gid;
};
int clinux_peer_credentials(int fd, struct clinux_peer *peer);

/// User and system time of this process, in microseconds (getrusage(2)).
uint64_t clinux_cpu_microseconds(void);

/// Sets the soft limit of descriptors to the hard one and returns it (setrlimit(2)).
uint64_t clinux_raise_descriptor_limit(void);

extern const int clinux_seals_size, clinux_seals_size_and_writes, clinux_seals_all, clinux_f_add_seals, clinux_f_get_seals;
extern const int clinux_fallocate_punch_hole, clinux_fallocate_keep_size, clinux_o_directory, clinux_o_tmpfile;
extern const unsigned clinux_memfd_flags;
extern const unsigned long clinux_siocoutq;

/// cmsg(3): room for `count` descriptors, and filling and reading the one control message we use.
size_t clinux_cmsg_space(size_t count);
void clinux_cmsg_put_fds(struct msghdr *message, const int *fds, size_t count);

/// Copies every descriptor of the control data into `fds` (room for `capacity`); descriptors beyond
/// the capacity are closed and counted, so the caller sees a count it did not announce.
size_t clinux_cmsg_take_fds(struct msghdr *message, int *fds, size_t capacity);

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

/// Asks the processor for the cache line of an address that will soon be read and written.
static inline void clinux_prefetch(const void *p) { __builtin_prefetch(p, 1); }
