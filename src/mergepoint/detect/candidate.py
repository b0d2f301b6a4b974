"""What detection finds: one way to serve what lies in a directory.

Place:  detect.* -> [detect.candidate] -> cli.add
Rule:   frozen data; `score` orders candidates, the highest is offered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Serve(StrEnum):
    """The key of the manifest under which a candidate is written."""

    WSGI = "wsgi"
    ASGI = "asgi"
    COMMAND = "command"
    STATIC = "static"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to serve a directory.

    `target` is ``module:attr`` for wsgi and asgi, with ``()`` for a factory; else a directory.
    `directory` is where the worker starts: the place from which `target` can be imported.
    """

    framework: str
    serve: Serve
    directory: Path
    where: str
    """``app.py:12``, relative to the project."""
    target: str = ""
    command: tuple[str, ...] = ()
    score: int = 0
    needs: str = ""
    """What must be done before it serves; empty when nothing must."""
    exists: bool = True
    """False when the target must first be written: then there is nothing to add yet."""

    def what(self) -> str:
        """Return the value for the manifest in one line: ``shop.wsgi:application``."""
        return " ".join(self.command) if self.command else self.target


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that will or may go wrong, and how to mend it."""

    severity: str
    """``error`` (will not work), ``warning`` (may not), ``note`` (good to know)."""
    code: str
    message: str
    fix: str
    where: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the finding for JSON."""
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "where": self.where,
            "fix": self.fix,
        }
