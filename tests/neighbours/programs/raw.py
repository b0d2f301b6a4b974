"""A worker without any server: it can ignore TERM, answer garbage, and breed.

Place:  tests/neighbours -> [raw]
Rule:   standard library only, because it also runs as a user that may read little.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time

FAULT_S_MAX = 20.0
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nraw"
READ_BYTES = 1 << 16


def plain(body):
    """Return an answer with this body."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def breed():
    """Start children until the system refuses, and go on trying; return how many live."""
    children = 0
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        try:
            pid = os.fork()
        except OSError:
            time.sleep(0.001)
            continue
        if pid == 0:
            time.sleep(FAULT_S_MAX)
            os._exit(0)
        children += 1
    return children


def reach(paths):
    """Return what this process may do with each path."""
    found = {}
    for path in paths:
        try:
            if path.endswith(".sock"):
                with socket.socket(socket.AF_UNIX) as link:
                    link.connect(path)
            else:
                os.close(os.open(path, os.O_RDONLY))
            found[path] = "reached"
        except OSError as error:
            found[path] = type(error).__name__
    return found


def answer(link, path, body):
    """Answer one request, well or badly."""
    if path.endswith("/garbage"):
        link.sendall(os.urandom(1 << 16))
    elif path.endswith("/endless-head"):
        link.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
        end = time.monotonic() + FAULT_S_MAX
        while time.monotonic() < end:
            link.sendall(b"h" * 65536)
    elif path.endswith("/breed"):
        link.sendall(plain(str(breed()).encode()))
    elif path.endswith("/reach"):
        link.sendall(plain(json.dumps(reach(json.loads(body))).encode()))
    else:
        link.sendall(GOOD)


def serve(link):
    """Read one request and answer it."""
    with contextlib.suppress(OSError, IndexError, ValueError), link:
        data = b""
        while b"\r\n\r\n" not in data:
            data += link.recv(READ_BYTES) or b"\r\n\r\n"
        head, _, body = data.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(fields.get(b"content-length", b"0")):
            body += link.recv(READ_BYTES)
        answer(link, head.split()[1].decode(), body)


def main():
    """Serve on the socket named first; ``stubborn`` as the second word ignores TERM."""
    if sys.argv[2:] == ["stubborn"]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(sys.argv[1])
        door.listen(64)
        while True:
            link, _ = door.accept()
            try:
                threading.Thread(target=serve, args=(link,), daemon=True).start()
            except RuntimeError:
                link.close()  # the children have taken every place: serve on when they are gone


if __name__ == "__main__":
    main()
