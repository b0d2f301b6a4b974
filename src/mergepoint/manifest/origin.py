"""Where something was written: the one answer every message and explanation can give.

Place:  [manifest.origin] -> manifest.site, manifest.access
Rule:   frozen data only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written: ``mergepoint.toml:12``."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"
