"""An app that takes whatever it can get: each path is a fault.

Place:  tests/neighbours -> [bad]
Rule:   every fault ends by itself within `FAULT_S_MAX`, so that a failing test leaves nothing.
"""

from __future__ import annotations

import os
import sys
import threading
import time

FAULT_S_MAX = 20.0
CHUNK = b"x" * 65536
KEPT = []
time.sleep(min(float(os.environ.get("BOOT_S", "0")), FAULT_S_MAX))


def burn(seconds):
    """Keep a thread busy."""
    end = time.monotonic() + min(float(seconds), FAULT_S_MAX)
    while time.monotonic() < end:
        sum(range(1000))


def eat(_):
    """Grow by 16 MiB every twentieth of a second, and keep it."""
    end = time.monotonic() + FAULT_S_MAX
    while time.monotonic() < end and len(KEPT) < 128:
        KEPT.append(bytearray(os.urandom(1 << 12) * (1 << 12)))
        time.sleep(0.05)


def chatter(megabytes):
    """Print so many megabytes of lines as fast as it goes."""
    line = "a line that says nothing at all, again and again, " * 2
    block = "".join(f"{line}{number:08}\n" for number in range(10_000))
    for _ in range(int(float(megabytes) * 1e6 / len(block)) + 1):
        sys.stdout.write(block)
    sys.stdout.flush()


BEHIND = {"burn": burn, "eat": eat, "chatter": chatter}


def gulp(gigabytes):
    """Take memory in one piece."""
    KEPT.append(bytearray(int(float(gigabytes) * (1 << 30))))
    return [b"taken"]


def leak(count):
    """Open files and never close them."""
    for _ in range(int(count)):
        KEPT.append(os.open(os.devnull, os.O_RDONLY))
    return [b"leaked"]


def sleep(seconds):
    """Hold a thread."""
    time.sleep(min(float(seconds), FAULT_S_MAX))
    return [b"slept"]


def endless(_):
    """Answer for as long as somebody listens."""
    end = time.monotonic() + FAULT_S_MAX
    while time.monotonic() < end:
        yield CHUNK


def big(megabytes):
    """Answer so many megabytes."""
    return (CHUNK for _ in range(int(megabytes) * 16))


def leave(_):
    """End the process in the middle of a request."""
    os._exit(3)


AT_ONCE = {"gulp": gulp, "leak": leak, "sleep": sleep, "endless": endless, "big": big,
           "leave": leave}  # fmt: skip


def app(environ, start_response):
    """Serve ``/FAULT/NUMBER``; reads the body of a request, if it has one."""
    environ["wsgi.input"].read()
    _, fault, number, *_ = (*environ["PATH_INFO"].split("/"), "0", "0")
    if fault in BEHIND:
        threading.Thread(target=BEHIND[fault], args=(number,), daemon=True).start()
        body = [str(os.getpid()).encode()]
    else:
        body = AT_ONCE[fault](number) if fault in AT_ONCE else [b"bad"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return body
