"""Somebody with a browser without JavaScript: follows links, keeps cookies, sends forms.

Place:  tests -> [visitor] -> a server on 127.0.0.1
Rule:   real HTTP only; redirects are shown, not followed, unless asked.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urldefrag, urlencode, urljoin

from mergepoint_testkit.document import Document, Form

TIMEOUT_S = 20.0
REDIRECTS_MAX = 5
Fields = Mapping[str, str] | list[tuple[str, str]]
File = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: its address below the site, status, headers and body."""

    address: str
    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """Return the body's JSON."""
        return json.loads(self.body)

    @property
    def location(self) -> str:
        """Return where a redirect leads, empty for none."""
        return str(self.headers.get("Location", ""))

    def document(self) -> Document:
        """Return the page's HTML, read."""
        return Document(self.text)

    def form(self, having: str) -> Form:
        """Return the first form with a field or an action that contains this name."""
        for form in self.document().forms:
            if having in form.values() or having in form.attributes.get("action", ""):
                return form
        raise LookupError(f"no form with {having!r} at {self.address}")


class Visitor:
    """One browser with its own cookies, at `port`; addresses start at `prefix`."""

    def __init__(self, port: int, prefix: str = "") -> None:
        self.port = port
        self.prefix = prefix
        self.cookies: dict[str, str] = {}

    def get(self, address: str, *, follow: bool = False, **headers: str) -> Page:
        """Fetch an address below the prefix."""
        page = self.request("GET", self.prefix + address, headers=headers)
        for _ in range(REDIRECTS_MAX if follow else 0):
            if not page.location:
                break
            page = self.request("GET", urldefrag(urljoin(page.address, page.location)).url)
        return page

    def post(self, address: str, fields: Fields, files: Mapping[str, File] | None = None) -> Page:
        """Send a form to an address below the prefix."""
        return self._send(self.prefix + address, fields, files)

    def submit(
        self, page: Page, having: str, files: Mapping[str, File] | None = None, **typed: str
    ) -> Page:
        """Fill in the page's form that has this field and send it where it says."""
        form = page.form(having)
        kept = [(name, value) for name, value in form.fields if name not in typed]
        action = urljoin(page.address, form.attributes.get("action") or page.address)
        return self._send(action, [*kept, *typed.items()], files)

    def request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Page:
        """Send one request to the target as it is written and keep its cookies."""
        sent = dict(headers or {})
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, target, body, sent)
            answer = connection.getresponse()
            page = Page(target, answer.status, answer.msg, answer.read())
        finally:
            connection.close()
        for written in page.headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(written).items():
                self.cookies[name] = morsel.value
        return page

    def _send(self, target: str, fields: Fields, files: Mapping[str, File] | None) -> Page:
        pairs = list(fields.items()) if isinstance(fields, Mapping) else fields
        if files is None:
            kind, body = "application/x-www-form-urlencoded", urlencode(pairs).encode()
        else:
            kind, body = multipart(pairs, files)
        return self.request("POST", target, body, {"Content-Type": kind})


def multipart(fields: list[tuple[str, str]], files: Mapping[str, File]) -> tuple[str, bytes]:
    """Return media type and body of a form with files."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    for name, (file, data) in files.items():
        head = f'Content-Disposition: form-data; name="{name}"; filename="{file}"'
        kind = "Content-Type: application/octet-stream"
        parts.append(f"--{boundary}\r\n{head}\r\n{kind}\r\n\r\n".encode() + data + b"\r\n")
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return f"multipart/form-data; boundary={boundary}", body
