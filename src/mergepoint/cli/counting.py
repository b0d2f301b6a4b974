"""Show how far a command is that does many things: a bar on a terminal, nothing elsewhere.

Place:  cli.dead_letters, cli.commands.tasks -> [cli.counting] -> stderr
Rule:   talk only; what was done is told by the command.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from mergepoint.cli.invocation import invocation

SHOWN_FROM = 20
"""Fewer than this are done before anybody could read the bar."""


@contextlib.contextmanager
def counting(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function to call with how many more are done."""
    asked = invocation()
    if total < SHOWN_FROM or asked.quiet or not asked.colors(sys.stderr):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda more: bar.advance(task, more)
