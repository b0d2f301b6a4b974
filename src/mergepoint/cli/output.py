"""How every command speaks: data on stdout, talk on stderr, colours for terminals only.

Place:  cli.commands.* -> [cli.output] -> stdout, stderr
Rule:   rich is imported only to draw a table; a pipe gets whole lines, never a cut one.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from mergepoint.cli.invocation import invocation

SCHEMA = 1
"""Version of every `--json` document; changes when a field is removed or changes its meaning."""
PIPE_COLUMNS = 1000
"""Width of tables that no terminal shows: wide enough never to wrap."""

STYLES: Mapping[str, dict[str, Any]] = {
    "ok": {"fg": "green"},
    "warn": {"fg": "yellow"},
    "bad": {"fg": "red"},
    "dim": {"dim": True},
    "bold": {"bold": True},
    "link": {"fg": "cyan"},
}
STATE_STYLES: Mapping[str, str] = {
    "ready": "ok",
    "external": "ok",
    "starting": "warn",
    "degraded": "warn",
    "draining": "warn",
    "backoff": "bad",
    "failed": "bad",
    "stopped": "dim",
    "stopping": "dim",
}


def data(text: str) -> None:
    """Write one line of the answer to stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(text: str = "") -> None:
    """Write one line of talk to stderr; nothing under `--quiet`."""
    if not invocation().quiet:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def document(content: Mapping[str, Any]) -> None:
    """Write the answer as JSON with its schema number."""
    data(json.dumps({"schema": SCHEMA, **content}, indent=2, default=str))


def paint(text: str, style: str, *, err: bool = False) -> str:
    """Return `text` in one of `STYLES` when its stream may carry colours."""
    stream = sys.stderr if err else sys.stdout
    if not invocation().colors(stream) or style not in STYLES:
        return text
    return click.style(text, **STYLES[style])


def state(name: str, *, err: bool = False) -> str:
    """Return the name of a state in its colour."""
    return paint(name, STATE_STYLES.get(name, ""), err=err)


def columns() -> int:
    """Return how wide a line may be: the terminal, ``COLUMNS``, or as wide as it needs to be."""
    if sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    return PIPE_COLUMNS


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, gap: int = 2) -> list[str]:
    """Lay out `rows` under `head` in columns; cells may carry colours, long cells wrap."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colored = invocation().colors(sys.stdout)
    console = Console(
        width=columns(),
        color_system="standard" if colored else None,
        force_terminal=colored,
        highlight=False,
        legacy_windows=False,
    )
    grid = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
    for name in head:
        grid.add_column(name, overflow="fold", no_wrap=False)
    for row in rows:
        grid.add_row(*(Text.from_ansi(cell) for cell in row))
    with console.capture() as captured:
        console.print(grid)
    return [line.rstrip() for line in captured.get().splitlines() if line.strip()]


def show_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table to stdout."""
    for line in table(head, rows):
        data(line)


def short(path: Path | str) -> str:
    """Return a path as the user would type it: relative when it lies below here."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def seconds(value: float) -> str:
    """Return a duration as people read it: ``0.4 s``, ``12 s``, ``3 min``, ``5 h``, ``2 d``."""
    if value < 10:
        return f"{value:.1f} s"
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if value < limit:
            return f"{value / divisor:.0f} {unit}"
    return f"{value / 86400:.0f} d"


def size(value: float) -> str:
    """Return bytes as people read them: ``812 B``, ``44 MiB``, ``1.2 GiB``."""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def count(number: int, noun: str, plural: str = "") -> str:
    """Return ``1 worker`` or ``2 workers``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
