"""Draw the tables of docs/reference/processes.md from the code that follows them.

Place:  supervisor.states, supervisor.pool -> [tools.process_tables] -> docs/reference/processes.md
Rule:   ``--check`` changes nothing and exits 1 when the page is out of date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from mergepoint.supervisor import states
from mergepoint.supervisor.pool import LIFE
from mergepoint.supervisor.report import Step

PAGE = Path(__file__).parents[1] / "docs/reference/processes.md"


def table(head: tuple[str, str], rows: Mapping[str, str]) -> str:
    """Return a table of two columns."""
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    return "\n".join(lines + [f"| {left} | {right} |" for left, right in rows.items()])


def life() -> str:
    """Return the changes of phase a process can go through."""
    lines = ["| phase | event | then | when |", "|---|---|---|---|"]
    for phase, events in LIFE.items():
        for event, after in events.items():
            then = str(after) if after else "gone"
            lines.append(f"| {phase} | {event} | {then} | {states.EVENTS[event]} |")
    return "\n".join(lines)


def coded(rows: Mapping[str, str]) -> dict[str, str]:
    """Return rows with their names set as code."""
    return {f"`{name}`": text for name, text in rows.items()}


TABLES = {
    "life": life(),
    "slots": table(("state", "meaning"), coded(states.SLOT_STATES)),
    "apps": table(("state", "meaning"), coded(states.APP_STATES)),
    "signals": table(("signal", "effect"), states.SIGNALS),
    "files": table(("file", "what it is"), states.FILES),
    "steps": ", ".join(f"`{step}`" for step in Step),
}


def drawn(page: str) -> str:
    """Return the page with every marked table drawn anew."""
    for name, text in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        marked = re.compile(f"{begin}.*?{end}", re.DOTALL)
        if not marked.search(page):
            raise SystemExit(f"{PAGE}: no place marked {begin} ... {end}")
        page = marked.sub(lambda _: f"{begin}\n{text}\n{end}", page)  # noqa: B023 - used at once
    return page


if __name__ == "__main__":
    old = PAGE.read_text()
    new = drawn(old)
    if "--check" in sys.argv:
        sys.exit(0 if old == new else f"{PAGE}: out of date; run python {__file__}")
    PAGE.write_text(new)
