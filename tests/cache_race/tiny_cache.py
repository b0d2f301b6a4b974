"""A tiny cache with the guards a cache needs, each of which can be left out."""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Flight:
    """One request to the origin."""

    begun: int
    done: threading.Event = field(default_factory=threading.Event)
    body: bytes = b""


class TinyCache:
    """Coalesces requests and takes PURGE. Its two guards are those of rules I1 and I2."""

    def __init__(self, origin: int, *, fill_guard: bool, waiter_guard: bool) -> None:
        self.origin = origin
        self.fill_guard, self.waiter_guard = fill_guard, waiter_guard
        self.lock = threading.Lock()
        self.stored: dict[str, bytes] = {}
        self.flights: dict[str, Flight] = {}
        self.purged: dict[str, int] = {}
        self.purges = 0
        self.joined = threading.Event()
        """Somebody waits for another one's request."""
        self.keeps = self.acknowledges = self.purging = True
        cache = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.answer(200, cache.get(self.path))

            def do_PURGE(self) -> None:
                cache.purge(self.path)
                self.answer(200 if cache.acknowledges else 405, b"")

            def do_POST(self) -> None:
                body = cache.ask("POST", self.path)
                cache.purge(self.path)
                self.answer(200, body)

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]

    def ask(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.origin, timeout=40)
        connection.request(method, path)
        body = connection.getresponse().read()
        connection.close()
        return body

    def get(self, path: str) -> bytes:
        with self.lock:
            if path in self.stored:
                return self.stored[path]
            flight = self.flights.get(path)
            if flight and self.is_old(flight, path) and self.waiter_guard:
                flight = None
            if flight is None:
                own = self.flights[path] = Flight(self.purges)
        if flight:
            self.joined.set()
            flight.done.wait()
            return flight.body
        own.body = self.ask("GET", path)
        with self.lock:
            if self.flights.get(path) is own:
                del self.flights[path]
            if self.keeps and not (self.fill_guard and self.is_old(own, path)):
                self.stored[path] = own.body
        own.done.set()
        return own.body

    def is_old(self, flight: Flight, path: str) -> bool:
        return self.purged.get(path, 0) > flight.begun

    def purge(self, path: str) -> None:
        with self.lock:
            self.purges += 1
            self.purged[path] = self.purges
            if self.purging:
                self.stored.pop(path, None)
