"""An interactive shell on a terminal of its own, as someone sits in front of it."""

import os
import pty
import re
import select
import signal
import time


class Terminal:
    def __init__(self, command, environment):
        self.screen = ""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.descriptor)

    def type(self, text):
        self.screen = ""
        os.write(self.descriptor, text.encode())

    def expect(self, pattern, seconds=20):
        """Waits until what appeared since the last `type` matches, and returns the match."""
        end = time.monotonic() + seconds
        while not (match := re.search(pattern, self.screen)):
            left = end - time.monotonic()
            assert left > 0, f"no {pattern!r} in {self.screen!r}"
            if select.select([self.descriptor], [], [], left)[0]:
                self.screen += os.read(self.descriptor, 65536).decode(errors="replace")
        return match
