"""Runs inside the sandbox of a unit, in place of its program: tries what it is told, prints what
the kernel answered. Each argument is one attempt, `what:detail`; each line of output is one answer,
`ok` or the name of the error.
"""

import ctypes
import errno
import mmap
import os
import socket
import sys


LIBC = ctypes.CDLL(None, use_errno=True)


def call(function, *arguments):
    if function(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")


def tcp(detail):
    host, _, port = detail.rpartition(":")
    with socket.socket(socket.AF_INET) as one:
        one.settimeout(2)
        one.connect((host, int(port)))


def connect(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
        one.connect(path)


def attempt(what, detail):
    if what == "read":
        with open(detail, "rb") as file:
            file.read(1)
    elif what == "list":
        os.listdir(detail)
    elif what == "write":
        with open(detail, "ab") as file:
            file.write(b"x")
    elif what == "connect":
        connect(detail)
    elif what == "tcp":
        tcp(detail)
    elif what == "socket":
        socket.socket(getattr(socket, detail), socket.SOCK_DGRAM).close()
    elif what == "interfaces":
        # Not even a loopback that is up.
        raise OSError(errno.ENODEV if len(socket.if_nameindex()) <= 1 else 0, "")
    elif what == "execute-memory":
        mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    elif what == "namespace":
        call(LIBC.unshare, 0x10000000)  # CLONE_NEWUSER
    elif what == "root":
        os.setuid(0)
    elif what == "chown":
        os.chown(detail, 1, 1)
    elif what == "priority":
        os.nice(-1)
    elif what == "ptrace":
        call(LIBC.ptrace, 16, 1, 0, 0)  # PTRACE_ATTACH
    elif what == "capabilities":
        with open("/proc/self/status") as status:
            text = dict(line.split(":\t", 1) for line in status if ":\t" in line)
        sets = {int(text[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
        if sets == {0} and text["NoNewPrivs"].strip() == "1" and text["Seccomp"].strip() == "2":
            raise OSError(errno.EPERM, "")
    else:
        raise ValueError(what)


for argument in sys.argv[1:]:
    name, _, rest = argument.partition(":")
    try:
        attempt(name, rest)
        answer = "ok"
    except OSError as error:
        answer = errno.errorcode.get(error.errno, str(error.errno))
    print(f"{argument} {answer}", flush=True)
