"""A client of the cache's tests: one connection for each request, answers as they came.

Place:  tests/edge_cache -> [client] -> the edge
Rule:   adds nothing to a request; names of header fields are in lower case.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

ANSWER_S_MAX = 20.0


@dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    status_code: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode()


class Client:
    """Asks one edge."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, content: bytes = b""
    ) -> Response:
        """Ask for `path` and return the whole answer."""
        with closing(self._connect()) as connection:
            connection.request(method, path, body=content or None, headers=headers or {})
            answer = connection.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            return Response(answer.status, fields, answer.read())

    def pieces(self, method: str, path: str, content: bytes = b"") -> Iterator[bytes]:
        """Ask for `path` and yield its body as it comes."""
        with closing(self._connect()) as connection:
            connection.request(method, path, body=content or None)
            answer = connection.getresponse()
            while piece := answer.read1(65536):
                yield piece

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_S_MAX)
