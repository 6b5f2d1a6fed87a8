"""drivers/load.py as a test steers it."""

import json

BOOTSTRAP = "127.0.0.1:9092"


class Load:
    """Real clients that write and read all the time, until `finish`."""

    def __init__(self, box, topic, connections=0):
        self.process = box.client("load.py", BOOTSTRAP, topic, connections)
        self.wait()

    def wait(self):
        """Until the step before is done."""
        line = self.process.stdout.readline()
        assert line == "ok\n", f"{line!r}, exit code {self.process.wait(60)}"

    def progress(self):
        """Until writers and readers are further than they are now."""
        self.process.stdin.write("\n")
        self.wait()

    def finish(self):
        """Ends it: every acknowledged record is where it belongs, and no idle connection was closed.
        Returns how many records there were."""
        self.process.stdin.close()
        result = self.process.stdout.read()
        assert self.process.wait(60) == 0
        return json.loads(result)

    def kill(self):
        self.process.kill()
        self.process.wait()
