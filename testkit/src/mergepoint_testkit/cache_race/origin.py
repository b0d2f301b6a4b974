"""The origin behind the cache under test: pages with a number, and renders that take their time.

Place:  the cache under test -> [cache_race.origin] <- cache_race.race
Rule:   a render is over when the test says so, never when time has passed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

HELD_S_MAX = 30.0
"""A held render ends by itself after this, so that nothing hangs for ever."""


@dataclass(slots=True)
class Page:
    """One page, used by one try."""

    tag: str
    value: int = 1
    asked: int = 0
    """How many times the cache asked for it."""
    hold: bool = False
    """The first render waits until it may go on."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    go_on: threading.Event = field(default_factory=threading.Event)

    def read(self) -> int:
        """Read the number; then, if this is the render to hold, wait."""
        with self.changed:
            value = self.value
            self.asked += 1
            held = self.hold and self.asked == 1
            self.changed.notify_all()
        if held:
            self.go_on.wait(HELD_S_MAX)
        return value

    def write(self) -> int:
        """Change the number, as a commit does."""
        with self.changed:
            self.value += 1
            return self.value

    def wait_until_asked(self, times: int, timeout_s: float) -> bool:
        """Wait until the cache has asked so often; tell whether it has."""
        with self.changed:
            return self.changed.wait_for(lambda: self.asked >= times, timeout_s)


class Origin:
    """A server on an address; pages are made before they are asked for. A context manager."""

    def __init__(self, host: str, port: int, max_age_s: int = 3600) -> None:
        self.pages: dict[str, Page] = {}
        self.max_age_s = max_age_s
        self._server = ThreadingHTTPServer((host, port), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def page(self, path: str, tag: str, *, hold: bool = False) -> Page:
        """Make a page."""
        self.pages[path] = page = Page(tag, hold=hold)
        return page

    def __enter__(self) -> Origin:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for page in self.pages.values():
            page.go_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(origin: Origin) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answer GET with the page's number, POST by changing it."""

        protocol_version = "HTTP/1.1"
        timeout = HELD_S_MAX

        def do_GET(self) -> None:
            page = origin.pages.get(self.path)
            if page is None:
                self._answer(404, 0, {})
                return
            fields = dict.fromkeys(("Surrogate-Key", "xkey", "Cache-Tag", "X-Tag"), page.tag)
            fields["Cache-Groups"] = f'"{page.tag}"'
            fields["Cache-Control"] = f"public, max-age={origin.max_age_s}"
            self._answer(200, page.read(), fields)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            page = origin.pages.get(self.path)
            if page is None:
                self._answer(404, 0, {})
                return
            group = f'"{page.tag}"'
            self._answer(200, page.write(), {"Cache-Group-Invalidation": group})

        def _answer(self, status: int, value: int, fields: dict[str, str]) -> None:
            body = str(value).encode()
            self.send_response(status)
            for name, text in fields.items():
                self.send_header(name, text)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: the test's own output is what is read."""

    return Handler
