"""kcat: the command line client over Debian's librdkafka.

It has no command to create or delete a topic: a topic comes to be when kcat asks for its metadata.
Its records are text: one `kcat -P` reads a file of lines, or one whole file as one record.
"""

import json
import os
import select
import subprocess
import tempfile

import repl

# Between a key and its value; no record of the tests has this byte.
DELIMITER = "\x1f"


def run(*arguments, **options):
    return subprocess.run(
        ["kcat", "-q", *arguments], check=True, stdout=subprocess.PIPE,
        timeout=repl.PATIENCE_S, **options).stdout


class Driver:
    def __init__(self, bootstrap):
        self.broker = ["-b", bootstrap]

    def _metadata(self, *arguments):
        return json.loads(run("-L", "-J", *self.broker, *arguments))["topics"]

    def create(self, topic, partitions):
        deadline = repl.Deadline("create " + topic)
        while not self._metadata("-t", topic)[0]["partitions"]:
            deadline.check()
        self.partitions(topic)

    def topics(self):
        for topic in self._metadata():
            repl.say("topic", topic["topic"])

    def partitions(self, topic):
        repl.say("partitions", len(self._metadata("-t", topic)[0]["partitions"]))

    def produce(self, topic, path, codec, mode):
        common = ["-P", *self.broker, "-t", topic, "-z", codec]
        if mode == "idempotent":
            common += ["-X", "enable.idempotence=true"]
        alike = {}
        for record in repl.read_records(path):
            if record.timestamp is not None:
                raise ValueError("kcat does not set timestamps")
            whole = len(record.value) > 65536
            header_options = [option for name, value in record.headers
                              for option in ("-H", f"{name}={value.decode()}")]
            alike.setdefault(
                (record.partition, whole, record.key is not None, tuple(header_options)),
                []).append(record)
        for (partition, whole, keyed, header_options), records in alike.items():
            options = [*common, *header_options]
            if partition is not None:
                options += ["-p", str(partition)]
            for group in [[record] for record in records] if whole else [records]:
                self._produce_alike(options, group, whole, keyed)

    def _produce_alike(self, options, records, whole, keyed):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "records")
            with open(path, "wb") as out:
                for record in records:
                    if keyed and not whole:
                        out.write(record.key + DELIMITER.encode())
                    out.write(record.value + (b"" if whole else b"\n"))
            if whole:
                key = ["-k", records[0].key.decode()] if keyed else []
                run(*options, *key, path)
            else:
                run(*options, *(["-K", DELIMITER] if keyed else []), "-l", path)

    def consume(self, topic, count, path):
        output = run("-C", *self.broker, "-t", topic, "-o", "beginning", "-c", count, "-J")
        with open(path, "w") as out:
            for record in map(json.loads, output.splitlines()):
                names_and_values = record.get("headers", [])
                out.write(repl.format_consumed(
                    record["partition"], record["offset"], record["ts"],
                    self._bytes(record["key"]), self._bytes(record["payload"]),
                    [(name, value.encode()) for name, value in
                     zip(names_and_values[::2], names_and_values[1::2])]))

    @staticmethod
    def _bytes(text):
        return None if text is None else text.encode()

    def offsets(self, topic, timestamp):
        count = len(self._metadata("-t", topic)[0]["partitions"])
        for partition in range(count):
            answer = run("-Q", *self.broker, "-t", f"{topic}:{partition}:{timestamp}").decode()
            repl.say("offset", partition, answer.split()[-1])

    def take(self, topic, group, count):
        output = run("-G", group, *self.broker, "-X", "auto.offset.reset=earliest", "-c", count,
                     "-J", topic)
        for record in map(json.loads, output.splitlines()):
            repl.say_record(record["partition"], record["offset"], record["payload"].encode())

    def member(self, topic, group):
        consumer = subprocess.Popen(
            ["kcat", "-G", group, *self.broker, "-u", "-J", "-X", "auto.offset.reset=earliest",
             topic],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        streams = {consumer.stdout.fileno(): b"", consumer.stderr.fileno(): b""}
        while not repl.told_to_leave():
            for stream in select.select(list(streams), [], [], 0.1)[0]:
                arrived = os.read(stream, 65536)
                *lines, streams[stream] = (streams[stream] + arrived).split(b"\n")
                for line in lines:
                    self._member_line(line.decode())
                if not arrived and consumer.poll() is not None:
                    raise RuntimeError(f"kcat ended with {consumer.returncode}")
        consumer.terminate()
        consumer.communicate(timeout=repl.PATIENCE_S)

    def _member_line(self, line):
        if line.startswith("{"):
            record = json.loads(line)
            repl.say_record(record["partition"], record["offset"], record["payload"].encode())
        elif "rebalanced" in line:
            # % Group g rebalanced (memberid m): assigned: topic [0], topic [2]
            assigned = line.partition(": assigned: ")[2]
            partitions = [int(part.split("[")[1].rstrip("]")) for part in assigned.split(", ")
                          if "[" in part]
            repl.say("assigned", ",".join(map(str, sorted(partitions))))


version = subprocess.run(["kcat", "-V"], stdout=subprocess.PIPE).stdout.decode().split("Version ")
repl.serve(Driver, "kcat", version[1].split()[0])
