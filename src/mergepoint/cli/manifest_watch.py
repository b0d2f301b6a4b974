"""In development a saved manifest takes effect by itself, as saved code does.

Place:  cli.serving -> [cli.manifest_watch] -> the supervisor's control socket
Rule:   a manifest that is refused changes nothing; the reporter prints its errors.
"""

from __future__ import annotations

import contextlib
import threading
import types
from pathlib import Path

from mergepoint.cli.control import ask
from mergepoint.core.errors import MergepointError

LOOK_S = 0.5
"""Between two looks at the file's time; a person does not notice less."""
State = tuple[int, int] | None


class ManifestWatch:
    """Looks at the manifest while the site runs, and asks for a reload when it changed."""

    def __init__(self, file: Path, run_dir: Path, *, enabled: bool) -> None:
        self._files = (file, file.parent / ".env")
        self._run_dir = run_dir
        self._enabled = enabled
        self._ended = threading.Event()

    def __enter__(self) -> ManifestWatch:
        if self._enabled:
            threading.Thread(target=self._watch, name="manifest", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._ended.set()

    def _watch(self) -> None:
        before = [_state(file) for file in self._files]
        while not self._ended.wait(LOOK_S):
            now = [_state(file) for file in self._files]
            if now != before:
                before = now
                self._reload()

    def _reload(self) -> None:
        # What is refused, and why, is told by the reporter as a step of the supervisor.
        with contextlib.suppress(MergepointError):
            ask(self._run_dir, "reload", apps=[])


def _state(file: Path) -> State:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
