"""A worker in plain Python whose bad habits are switched on by its environment and by files.

`MODE_FILE` names a file with words, read at start: ``crash`` (exit 3 before serving), ``slow:S``
(serve after S seconds), ``stubborn`` (ignore TERM), ``short:S`` (die S s after start), ``bad``
(answer 500), ``hang`` (never listen), ``mute`` (hang on all but /health). `VERSION_FILE` is what
it answers, beside its process id.
"""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path


def words() -> dict[str, str]:
    path = Path(os.environ.get("MODE_FILE", "/nonexistent"))
    text = path.read_text() if path.exists() else ""
    return {word.partition(":")[0]: word.partition(":")[2] for word in text.split()}


MODE = words()
KEPT: list[bytearray] = []
VERSION = Path(os.environ["VERSION_FILE"]).read_text() if "VERSION_FILE" in os.environ else "1"


class Handler(BaseHTTPRequestHandler):
    # Head and body leave in one piece: a kill between them could not be hidden from the client.
    wbufsize = 65536

    def do_GET(self) -> None:
        if self.path.endswith("/sleep"):
            time.sleep(float(os.environ.get("SLEEP_S", "0.3")))
        mute = "mute" in MODE and not self.path.endswith("/health")
        if self.path.endswith("/stuck") or mute:
            time.sleep(60)
        if self.path.endswith("/grow"):
            KEPT.append(bytearray(os.urandom(1)) * (120 << 20))
        if self.path.endswith("/print"):
            print("a line on stdout", flush=True)
        body = f"{VERSION.strip()} {os.getpid()} {os.environ['MERGEPOINT_SLOT']}".encode()
        self.send_response(500 if "bad" in MODE else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "-"

    def log_message(self, *args: object) -> None:
        pass


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128


def main() -> None:
    if "crash" in MODE:
        print("about to fail\nValueError: no such table: users", file=sys.stderr, flush=True)
        sys.exit(3)
    if "slow" in MODE:
        time.sleep(float(MODE["slow"]))
    if "short" in MODE:
        threading.Timer(float(MODE["short"]), lambda: os._exit(4)).start()
    if "hang" in MODE:
        time.sleep(600)
    if "MERGEPOINT_SOCKET" in os.environ:
        Server.address_family = socket.AF_UNIX
        server = Server(os.environ["MERGEPOINT_SOCKET"], Handler)  # type: ignore[arg-type]
    else:
        server = Server((os.environ["HOST"], int(os.environ["PORT"])), Handler)
    stop = (
        signal.SIG_IGN
        if "stubborn" in MODE
        else lambda *_: threading.Thread(target=server.shutdown).start()
    )
    signal.signal(signal.SIGTERM, stop)
    server.serve_forever(poll_interval=0.02)
    server.server_close()


if __name__ == "__main__":
    main()
