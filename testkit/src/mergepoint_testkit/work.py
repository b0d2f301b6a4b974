"""Functions for other processes to run: quick, slow, wrong and deadly.

Place:  tests of mergepoint.balance and mergepoint.tasks
Rule:   at the top of a module, where another process finds them by name.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from mergepoint.balance import offload


class Unpicklable(Exception):
    """An error that cannot be read back: its constructor wants more than its message."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def square(number: int) -> int:
    return number * number


def pid(_: object = None) -> int:
    return os.getpid()


def spin(seconds: float) -> float:
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        pass
    return seconds


def spin_unless_even(number: int) -> int:
    if number % 2:
        spin(0.02)
    return number


def fail(text: str) -> None:
    raise ValueError(text)


def fail_at_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


def fail_unreadably() -> None:
    raise Unpicklable("this", "that")


def leave() -> None:
    sys.exit(3)


def die(by: int = signal.SIGKILL) -> None:
    os.kill(os.getpid(), by)


def abort(code: int) -> None:
    os._exit(code)


def answer_a_lambda() -> object:
    return lambda: None


def fill(mebibytes: int) -> int:
    return len(bytearray(mebibytes * 1024 * 1024))


def note_and_spin(path: str, seconds: float) -> None:
    Path(path).write_text(str(os.getpid()))
    spin(seconds)


@offload
def cube(number: int) -> int:
    return number**3
