"""Many connections at once, without a client library.

    crowd.py burst COUNT            opens so many, says `connected`, and waits for a line on standard
                                    input; then sends a request over each and says how many were
                                    answered
    crowd.py half COUNT SIZE PART   sends PART bytes of a request of SIZE bytes over each, says how
                                    many bytes the broker does not take, and waits for a line
"""

import resource
import select
import socket
import struct
import sys

ADDRESS = ("127.0.0.1", 9092)


def burst(count):
    held = []
    for _ in range(count):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(ADDRESS)
        held.append(one)
    print("connected", flush=True)
    sys.stdin.readline()
    served = 0
    for one in held:
        one.settimeout(30)
        try:
            # ApiVersions 0, no client id.
            one.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))
            served += len(one.recv(4)) == 4
        except OSError:
            pass
    print(served, flush=True)


def half(count, size, part):
    held = [socket.create_connection(ADDRESS) for _ in range(count)]
    left = {one: memoryview(struct.pack(">i", size) + bytes(part)) for one in held}
    for one in held:
        one.setblocking(False)
    # Who takes nothing for two seconds takes nothing more.
    while left and (ready := select.select([], list(left), [], 2)[1]):
        for one in ready:
            left[one] = left[one][one.send(left[one]):]
            if not left[one]:
                del left[one]
    print(sum(map(len, left.values())), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    {"burst": burst, "half": half}[sys.argv[1]](*map(int, sys.argv[2:]))
