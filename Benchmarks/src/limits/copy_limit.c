// copy_limit --dir D [--port N] [--partitions N] [--one-process | --sync]: see copy_limit.h.
#include "copy_limit.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/fail.h"
#include "../base/options.h"

#define CHANNEL_BUFFER_BYTES (1 << 20)

uint8_t *slab;

static void map_slab(void) {
  size_t length = (size_t)CHUNKS * CHUNK_BYTES;
  int fd = memfd_create("slab", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, (off_t)length) < 0) fail_errno("create the slab");
  slab = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (slab == MAP_FAILED) fail_errno("map the slab");
  close(fd);
}

// Starts the writing process; returns the receiver's end of the channel.
static int start_writer(const struct copy_settings *settings) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) fail_errno("socketpair");
  int buffer = CHANNEL_BUFFER_BYTES;
  for (int i = 0; i < 2; i++) {
    setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
  }
  pid_t pid = fork();
  if (pid < 0) fail_errno("fork");
  if (pid > 0) {
    close(ends[1]);
    return ends[0];
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "copy_writer");
  close(ends[0]);
  writer_open(settings);
  writer_run(ends[1]);
}

int main(int count, char **arguments) {
  static struct copy_settings settings = {.directory = ".", .partitions = 1};
  uint64_t port = 0;
  const struct option_row rows[] = {
      {"port", OPTION_NUMBER, &port, "port; 0: any (0)"},
      {"dir", OPTION_TEXT, &settings.directory, "where the files go (.)"},
      {"partitions", OPTION_NUMBER, &settings.partitions, "number of files (1)"},
      {"one-process", OPTION_FLAG, &settings.one_process, "receive and append in one process"},
      {"sync", OPTION_FLAG, &settings.sync, "one process that answers when batches are on disk"},
      {0}};
  options_read(count - 1, arguments + 1, "copy_limit [options]", rows);
  map_slab();
  int channel = -1;
  if (settings.one_process || settings.sync) {
    writer_open(&settings);
    if (settings.sync) channel = sync_open(settings.partitions);
  } else {
    channel = start_writer(&settings);
  }
  receiver_run((uint16_t)port, channel, settings.sync);
}
