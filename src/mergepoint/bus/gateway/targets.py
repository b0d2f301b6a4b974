"""Where the workers of an app are now, and how the site signs: read from what the edge obeys.

Place:  supervisor.publish writes snapshot.json -> [bus.gateway.targets] -> bus.gateway.deliver
Rule:   reads the file when it has changed and not otherwise; what cannot be read is what was.
"""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SNAPSHOT_BYTES_MAX = 64 << 20


@dataclass(frozen=True, slots=True)
class Signing:
    """The key that signs what apps are told of who asks."""

    kid: str
    seed: bytes = field(repr=False)


class Targets:
    """The addresses of every app with workers; asked before every post."""

    def __init__(self, snapshot: Path) -> None:
        self._file = snapshot
        self._seen: tuple[int, int, int] | None = None
        self._apps: dict[str, tuple[str, ...]] = {}
        self._busy: dict[str, int] = {}
        self.signing: Signing | None = None

    def choose(self, app: str, avoid: str = "") -> str:
        """Return the address of a ready worker with the fewest posts; empty when there is none.

        `avoid` is only taken when there is no other: it has just failed.
        """
        self.look()
        ready = self._apps.get(app, ())
        others = [address for address in ready if address != avoid] or ready
        return min(others, key=lambda address: self._busy.get(address, 0), default="")

    @contextlib.contextmanager
    def using(self, address: str) -> Any:
        """Count a post to the address while the block runs."""
        self._busy[address] = self._busy.get(address, 0) + 1
        try:
            yield
        finally:
            left = self._busy[address] - 1
            if left:
                self._busy[address] = left
            else:
                del self._busy[address]

    def look(self) -> None:
        """Read the snapshot again if it has changed."""
        try:
            found = self._file.stat()
            now = (found.st_mtime_ns, found.st_size, found.st_ino)
            if now == self._seen or found.st_size > SNAPSHOT_BYTES_MAX:
                return
            document = json.loads(self._file.read_bytes())
            self._apps, self.signing = addresses(document), signing(document)
            self._seen = now
        except (OSError, ValueError, KeyError, TypeError):
            return  # the site is only being written, or stopped; what was known stays


def addresses(document: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the addresses of ready workers by app; canaries take posts like any other."""
    return {
        name: tuple(slot["address"] for slot in app.get("slots", ()) if slot["state"] == "ready")
        for name, app in document["apps"].items()
    }


def signing(document: dict[str, Any]) -> Signing | None:
    """Return the edge's key; None for a site without identity."""
    told = document.get("identity")
    if not told:
        return None
    return Signing(told["signing"]["kid"], base64.b64decode(told["signing"]["seed"]))
