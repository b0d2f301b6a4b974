"""Log the call that blocks the event loop, while it blocks.

Place:  host.asgi starts [host.loop] on the loop it finds itself in
Rule:   one report per block, a bounded number per minute; the loop is only asked for a sign.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from . import stacks

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

REPORTS_PER_MINUTE_MAX = 20
GONE_CHECK_S = 1.0


class LoopWatch:
    """A thread that asks the loop for a sign of life and shows where it is when none comes."""

    def __init__(
        self, block_s: float, label: dict[str, str], running: Callable[[], list[dict[str, Any]]]
    ) -> None:
        self._block_s = block_s
        self._label = label
        self._running = running
        self._alive = threading.Event()
        self._reports: list[float] = []
        self._started = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to watch `loop`, called in its own thread; a second call does nothing."""
        if self._started or self._block_s <= 0:
            return
        self._started = True
        arguments = (loop, threading.get_ident())
        threading.Thread(
            target=self._run, args=arguments, name="mergepoint-loop", daemon=True
        ).start()

    def _run(self, loop: asyncio.AbstractEventLoop, ident: int) -> None:
        while True:
            self._alive.clear()
            asked_s = time.monotonic()
            try:
                loop.call_soon_threadsafe(self._alive.set)
            except RuntimeError:  # the loop is closed: the worker ends
                return
            if not self._alive.wait(self._block_s):
                self._blocked(loop, ident, asked_s)
            time.sleep(self._block_s / 2)

    def _blocked(self, loop: asyncio.AbstractEventLoop, ident: int, asked_s: float) -> None:
        shown = self._may_report(time.monotonic())
        if shown:
            told = dict(self._label, blocked_s=round(time.monotonic() - asked_s, 3))
            told["requests"] = self._running()
            self._say("blocked", told, stacks.of_thread(ident))
        while not self._alive.wait(GONE_CHECK_S):
            if loop.is_closed():
                return
        if shown:
            total_s = round(time.monotonic() - asked_s, 3)
            self._say("free", dict(self._label, blocked_s=total_s), "")

    def _may_report(self, now_s: float) -> bool:
        self._reports = [at for at in self._reports if now_s - at < 60]
        if len(self._reports) >= REPORTS_PER_MINUTE_MAX:
            return False
        self._reports.append(now_s)
        return True

    def _say(self, what: str, told: dict[str, Any], text: str) -> None:
        stack = stacks.bounded(text) + "\n" if text else ""
        sys.stderr.write(f"mergepoint-loop-{what}: {json.dumps(told)}\n{stack}")
        sys.stderr.flush()
