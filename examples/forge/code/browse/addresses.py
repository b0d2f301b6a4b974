"""Addresses of this app at whatever mount it was given; names in them may be any bytes.

Place:  [addresses] -> pages, api, templates
Rule:   pure; everything that leaves here is percent-encoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from posixpath import normpath
from urllib.parse import quote, urlencode


@dataclass(frozen=True, slots=True)
class Addresses:
    """Makes addresses below `mount`, which is empty or starts with a slash."""

    mount: str

    def home(self) -> str:
        """Return the list of repositories."""
        return quote(self.mount, safe="/") + "/"

    def repo(self, name: str) -> str:
        """Return the front page of a repository."""
        return self.home() + quote(name, safe="")

    def at(
        self, name: str, view: str, ref: bytes | str = b"", path: bytes = b"", **query: object
    ) -> str:
        """Return a view of a repository at a ref and path, with a query."""
        where = ref.encode() if isinstance(ref, str) else ref
        parts = [self.repo(name), view, quote(where, safe="/"), quote(path, safe="/")]
        asked = urlencode({key: value for key, value in query.items() if value not in (None, "")})
        return "/".join(part for part in parts if part) + (f"?{asked}" if asked else "")

    def beside(self, name: str, ref: bytes, file: bytes, link: str, raw: bool) -> str:
        """Return where a relative link inside `file` leads; never above the repository."""
        address, hash_, anchor = link.partition("#")
        folder = file.rpartition(b"/")[0].decode("utf-8", "replace")
        target = normpath(f"/{folder}/{address}").lstrip("/")
        # The link is percent-encoded already, as every address in Markdown is.
        return self.at(name, "raw" if raw else "at", ref) + f"/{target}" + hash_ + anchor
