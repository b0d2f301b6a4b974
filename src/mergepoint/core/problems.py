"""One thing wrong in a file a person wrote: where, what, the value, and what to do.

Place:  [core.problems] -> core.errors, manifest, cli
Rule:   `str()` is one line that an editor can jump to; secrets never reach it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a problem stops."""

    ERROR = "error"
    """The whole manifest is refused."""
    APP = "app"
    """This app cannot start; the rest of the site runs."""
    WARNING = "warning"
    """Nothing; but somebody should look."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding; `line` is 1-based, 0 when the value did not come from a file."""

    file: str
    line: int
    path: str
    """Dotted place in the document: ``apps.tickets.processes``; empty for the file itself."""
    message: str
    value: str | None = None
    """The written value as TOML would show it, redacted when it looks secret."""
    fix: str = ""
    severity: Severity = Severity.ERROR
    app: str | None = None
    """The app it belongs to, when it belongs to one."""
    column: int = 0

    @property
    def where(self) -> str:
        """``mergepoint.toml:12``, with the column when it is known."""
        parts = [self.file, *(str(n) for n in (self.line, self.column) if n)]
        return ":".join(parts)

    def __str__(self) -> str:
        kind = "warning: " if self.severity is Severity.WARNING else ""
        path = f"{self.path}: " if self.path else ""
        value = f" (is {self.value})" if self.value is not None else ""
        fix = f"; {self.fix}" if self.fix else ""
        return f"{self.where}: {kind}{path}{self.message}{value}{fix}"


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return each problem once, by file and line."""
    unique = dict.fromkeys(problems)
    return tuple(sorted(unique, key=lambda p: (p.file, p.line, p.column, p.path, p.message)))
