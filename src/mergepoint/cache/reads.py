"""What one request has read: its tags, or why they cannot be known.

Place:  cache.sqlite, cache.postgres, cache.strays -> [cache.reads] -> cache.around
Rule:   a superset is safe, a subset is not (I12): whatever is in doubt spoils the whole answer.

A read belongs to the request in whose context it runs. A read in no context at all, by a thread
that an app started itself, may belong to any request under way, so it spoils them all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

TAGS_MAX = 128
"""Tags of one answer; more are told as their tables."""
HEADER_BYTES_MAX = 6 * 1024
"""Of the list as it is written; longer ones are told as their tables, then not at all."""
UNKNOWN = "unknown"


class Reads:
    """Filled while a request runs, by whatever thread works for it."""

    def __init__(self) -> None:
        self.tags: set[str] = set()
        self.reason = ""
        """Why the tags are not known; the first reason stays."""

    def add(self, tag: str) -> None:
        """Note a tag; one of its table alone covers those of its rows."""
        self.tags.add(tag)

    def spoil(self, reason: str) -> None:
        """Note that something was read that has no tag."""
        self.reason = self.reason or reason

    def told(self) -> tuple[str, str]:
        """Return the value of `X-Mergepoint-Tags`, and why it is `unknown` where it is.

        A request that read no database is unknown, too: what it did read left no trace here.
        """
        reason = blindness() or self.reason or ("" if self.tags else "no database was read")
        text = "" if reason else spelled(self.tags)
        return (text, "") if text else (UNKNOWN, reason or "it was made from too many tables")


def spelled(tags: set[str]) -> str:
    """Return the tags as a list within the bounds, empty where they do not fit. Pure."""
    whole = {tag for tag in tags if ":" not in tag}
    kept = {tag for tag in tags if tag in whole or tag.partition(":")[0] not in whole}
    for some in (kept, {tag.partition(":")[0] for tag in kept}):
        text = ",".join(sorted(some))
        if len(some) <= TAGS_MAX and len(text) <= HEADER_BYTES_MAX:
            return text
    return ""


_current: ContextVar[Reads | None] = ContextVar("mergepoint_reads", default=None)
_lock = threading.Lock()
_under_way: set[Reads] = set()
NOBODY = Reads()
"""For requests that nobody asked about: what they read is not looked at."""


@contextmanager
def entered(reads: Reads) -> Iterator[Reads]:
    """Let what runs within belong to this request."""
    token = _current.set(reads)
    if reads is not NOBODY:
        with _lock:
            _under_way.add(reads)
    try:
        yield reads
    finally:
        with _lock:
            _under_way.discard(reads)
        _current.reset(token)


_blind: list[str] = []


def go_blind(reason: str) -> None:
    """Note that from now on this process may read what nobody sees; no tags are known any more."""
    if not _blind:
        _blind.append(reason)


def blindness() -> str:
    """Return why this process knows no tags at all, empty where it does."""
    return _blind[0] if _blind else ""


def collecting() -> Reads | None:
    """Return whose read is happening now, None where nobody wants to know."""
    reads = _current.get()
    if reads is NOBODY:
        return None
    if reads is None and _under_way:
        spoil_all("data was read outside of any request, by a thread of the app's own")
    return reads


def spoil_all(reason: str) -> None:
    """Spoil every request under way."""
    with _lock:
        for reads in _under_way:
            reads.spoil(reason)


def spoil(reason: str) -> None:
    """Spoil the request that runs here."""
    reads = collecting()
    if reads is not None:
        reads.spoil(reason)
