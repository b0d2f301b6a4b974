"""Single keys while `mergepoint run` serves: r restarts, l turns the log off and on, q quits.

Place:  cli.serving -> [cli.keys] -> the supervisor's control socket
Rule:   only on a terminal, which is put back as it was whatever happens.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import types
from pathlib import Path
from typing import Any, Protocol

from mergepoint.core.errors import MergepointError

POLL_S = 0.5


class LogSwitch(Protocol):
    """Whoever prints the log lines."""

    logs: bool


class Keys:
    """Reads keys on a thread of its own between `__enter__` and `__exit__`."""

    def __init__(self, run_dir: Path, switch: LogSwitch, *, enabled: bool) -> None:
        self._run_dir = run_dir
        self._switch = switch
        self._enabled = enabled
        self._before: Any = None
        self._ended = threading.Event()

    def __enter__(self) -> Keys:
        if self._enabled:
            import termios
            import tty

            self._before = termios.tcgetattr(sys.stdin.fileno())
            tty.setcbreak(sys.stdin.fileno())
            threading.Thread(target=self._read, name="keys", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._before is not None:
            import termios

            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._before)

    def _read(self) -> None:
        descriptor = sys.stdin.fileno()
        while not self._ended.is_set():
            readable, _, _ = select.select([descriptor], [], [], POLL_S)
            if readable:
                pressed = os.read(descriptor, 1)
                if not pressed:
                    return
                self._press(pressed)

    def _press(self, pressed: bytes) -> None:
        from mergepoint.cli.control import ask

        if pressed == b"q":
            os.kill(os.getpid(), signal.SIGINT)
        elif pressed == b"l":
            self._switch.logs = not self._switch.logs
            sys.stdout.write(f"log lines are {'on' if self._switch.logs else 'off'}\n")
        elif pressed == b"r":
            try:
                ask(self._run_dir, "restart", apps=[])
            except MergepointError as error:
                sys.stderr.write(f"restart: {error.message}\n")
