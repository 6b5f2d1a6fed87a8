// The definitions behind CLinux.h: everything that needs _GNU_SOURCE stays on this side, because the
// header is imported beside Swift's own view of glibc, which does not define it.
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

const int clinux_f_add_seals = F_ADD_SEALS;
const int clinux_f_get_seals = F_GET_SEALS;
const int clinux_seals_size = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
const int clinux_seals_size_and_writes =
  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
const int clinux_seals_all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
const unsigned clinux_memfd_flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
const int clinux_fallocate_punch_hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
const int clinux_fallocate_keep_size = FALLOC_FL_KEEP_SIZE;
const unsigned long clinux_siocoutq = SIOCOUTQ;
const int clinux_o_directory = O_DIRECTORY;
const int clinux_o_tmpfile = O_TMPFILE;

int clinux_fcntl_int(int fd, int command, int argument) { return fcntl(fd, command, argument); }
int clinux_ioctl_int(int fd, unsigned long request, int *value) { return ioctl(fd, request, value); }
int clinux_terminal_size(int fd, int *rows, int *columns) {
  struct winsize size;
  if (ioctl(fd, TIOCGWINSZ, &size) < 0) return -1;
  *rows = size.ws_row;
  *columns = size.ws_col;
  return 0;
}
int clinux_open(const char *path, int flags, unsigned mode) { return open(path, flags, mode); }
int clinux_openat(int dirfd, const char *path, int flags, unsigned mode) {
  return openat(dirfd, path, flags, mode);
}
int clinux_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
  return accept4(fd, address, length, flags);
}
int clinux_memfd_create(const char *name, unsigned flags) { return memfd_create(name, flags); }
int clinux_pidfd_open(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
int clinux_fallocate(int fd, int mode, off_t offset, off_t length) {
  return fallocate(fd, mode, offset, length);
}
ssize_t clinux_read_cached(int fd, void *buffer, size_t count, off_t offset) {
  struct iovec part = {buffer, count};
  return preadv2(fd, &part, 1, offset, RWF_NOWAIT);
}
int clinux_readahead(int fd, off_t offset, size_t count) {
  return (int)readahead(fd, offset, count);
}
int clinux_set_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, signal); }

int clinux_peer_credentials(int fd, struct clinux_peer *peer) {
  struct ucred credentials;
  socklen_t length = sizeof credentials;
  int result = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length);
  if (result == 0) *peer = (struct clinux_peer){credentials.pid, credentials.uid, credentials.gid};
  return result;
}

uint64_t clinux_cpu_microseconds(void) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u +
         (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

uint64_t clinux_raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}

size_t clinux_cmsg_space(size_t count) { return CMSG_SPACE(sizeof(int) * count); }

void clinux_cmsg_put_fds(struct msghdr *message, const int *fds, size_t count) {
  struct cmsghdr *header = CMSG_FIRSTHDR(message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * count);
  __builtin_memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
}

size_t clinux_cmsg_take_fds(struct msghdr *message, int *fds, size_t capacity) {
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

// The child between fork and exec: async-signal-safe calls only. Any failure ends it with 111, the
// exit code for "the system refused".
static void become(const char *path, char *const arguments[], char *const environment[],
                   char *listen_pid_value, const int *fds, size_t fd_count, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(111);
  // First out of the way of 3, 4, …, then into place: dup2 clears close-on-exec.
  int high[64];
  if (fd_count > sizeof high / sizeof *high) _exit(111);
  for (size_t i = 0; i < fd_count; i++) {
    high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3 + (int)fd_count);
    if (high[i] < 0) _exit(111);
  }
  for (size_t i = 0; i < fd_count; i++)
    if (dup2(high[i], 3 + (int)i) < 0) _exit(111);
  if (listen_pid_value) {
    char digits[11];
    size_t count = 0;
    for (pid_t pid = getpid(); pid > 0; pid /= 10) digits[count++] = (char)('0' + pid % 10);
    for (size_t i = 0; i < count; i++) listen_pid_value[i] = digits[count - 1 - i];
    listen_pid_value[count] = 0;
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  execve(path, arguments, environment);
  _exit(111);
}

int clinux_spawn(const char *path, char *const arguments[], char *const environment[],
                 char *listen_pid_value, const int *fds, size_t fd_count) {
  pid_t parent = getpid();
  pid_t pid = fork();
  if (pid == 0) become(path, arguments, environment, listen_pid_value, fds, fd_count, parent);
  return pid;
}

int clinux_reap(int pid, int *code, int *signal) {
  int status = 0;
  pid_t reaped;
  do reaped = waitpid(pid, &status, WNOHANG);
  while (reaped < 0 && errno == EINTR);
  *code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  *signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return reaped;
}

int clinux_syncfs(int fd) { return syncfs(fd); }

int clinux_begin_writeback(int fd, off_t offset, off_t count) {
  return sync_file_range(fd, offset, count, SYNC_FILE_RANGE_WRITE);
}

ssize_t clinux_copy_file_range(int from, int64_t from_offset, int to, int64_t to_offset,
                               size_t count) {
  off64_t in = from_offset, out = to_offset;
  return copy_file_range(from, &in, to, &out, count, 0);
}

static int set_lock(int fd, short type) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
  return fcntl(fd, F_OFD_SETLK, &lock);
}
int clinux_lock_file(int fd) { return set_lock(fd, F_WRLCK); }
int clinux_unlock_file(int fd) { return set_lock(fd, F_UNLCK); }
