"""One check of `mergepoint doctor` and its outcome.

Place:  cli.doctor_machine, cli.doctor_site -> [cli.doctor_result] -> cli.doctor_checks
Rule:   frozen data only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """One check: `state` is ok, warning or failed."""

    name: str
    state: str
    message: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the result for JSON."""
        return {
            "name": self.name,
            "state": self.state,
            "message": self.message,
            "fix": self.fix,
        }


Check = Callable[[], Iterator[Result]]
