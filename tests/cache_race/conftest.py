"""An origin, and caches in front of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
from mergepoint_testkit.cache_race.origin import Origin

from .tiny_cache import TinyCache


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin("127.0.0.1", 0) as started:
        yield started


@contextlib.contextmanager
def served(cache: TinyCache) -> Iterator[TinyCache]:
    thread = threading.Thread(target=cache.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield cache
    finally:
        cache.server.shutdown()
        cache.server.server_close()
        thread.join()
