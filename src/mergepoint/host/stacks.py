"""Turn threads and coroutines into readable stacks, deepest call last.

Place:  host.limit, host.loop -> [host.stacks]
Rule:   reads only; every text is bounded; frames of the host itself are left out.
"""

from __future__ import annotations

import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

FRAMES_MAX = 60
TEXT_CHARS_MAX = 20_000
THREADS_MAX = 16
IDLE_FILES = ("queue.py", "threading.py", "thread.py", "selectors.py", "base_events.py")
"""A thread whose deepest frame lies in one of these waits for work rather than doing it."""

_OURS = str(Path(__file__).parent)


def of_frame(frame: FrameType | None) -> str:
    """Return the stack that ends in `frame`, without the frames of the host that lead to it."""
    entries = list(traceback.extract_stack(frame)) if frame is not None else []
    ours = [index for index, entry in enumerate(entries) if _is_ours(entry.filename)]
    if ours:  # what lies above our shim is the server; below it, the app
        entries = entries[ours[-1] + 1 :]
    return "".join(traceback.format_list(entries[-FRAMES_MAX:]))


def of_thread(ident: int) -> str:
    """Return the stack of a running thread, empty when it has ended."""
    return of_frame(sys._current_frames().get(ident))


def of_coroutine(coroutine: Any) -> str:
    """Return the chain of awaits of a suspended coroutine, from the outermost in."""
    entries: list[tuple[FrameType, int]] = []
    while coroutine is not None and len(entries) < FRAMES_MAX:
        frame = _first(coroutine, "cr_frame", "gi_frame", "ag_frame")
        if frame is None:
            break
        entries.append((frame, frame.f_lineno))
        coroutine = _first(coroutine, "cr_await", "gi_yieldfrom", "ag_await")
    summary = traceback.StackSummary.extract(iter(entries))
    return "".join(traceback.format_list(list(summary)))


def of_busy_threads(but: set[int]) -> str:
    """Return the stacks of other threads at work: where a handler's blocking part may hang."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts: list[str] = []
    for ident, frame in list(sys._current_frames().items()):
        if ident in but or ident == threading.get_ident() or len(parts) >= THREADS_MAX:
            continue
        if Path(frame.f_code.co_filename).name in IDLE_FILES or _is_ours(frame.f_code.co_filename):
            continue
        parts.append(f"Thread {names.get(ident, ident)}:\n{of_frame(frame)}")
    return "".join(parts)


def bounded(text: str) -> str:
    """Return `text`, its middle left out beyond TEXT_CHARS_MAX."""
    text = text.rstrip("\n") or "  (no Python frames)"
    if len(text) <= TEXT_CHARS_MAX:
        return text
    half = TEXT_CHARS_MAX // 2
    return text[:half] + "\n  ...\n" + text[-half:]


def _first(value: Any, *names: str) -> Any:
    for name in names:
        found = getattr(value, name, None)
        if found is not None:
            return found
    return None


def _is_ours(filename: str) -> bool:
    return filename.startswith(_OURS)
