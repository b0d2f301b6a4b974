"""How the service refuses: a code that pages turn into their own words, and a line for people.

Place:  [service.errors] -> service, pages, cli
Rule:   a message never says whether an account exists to somebody who may not know.
"""

from __future__ import annotations

from mergepoint.core.errors import MergepointError


class Refused(MergepointError):
    """What was asked is not allowed or not possible; `reason` is the code without its prefix."""

    def __init__(self, reason: str, message: str, *, next: str = "") -> None:  # noqa: A002
        super().__init__(message, next=next)
        self.reason = reason
        self.code = f"accounts.{reason}"


class Busy(MergepointError):
    """Too many passwords are being hashed at once; trying again helps."""

    code = "accounts.busy"
    retry_after_s = 5


def unknown(what: str) -> Refused:
    """Return the refusal for something that is not there (any more)."""
    return Refused("unknown", f"there is no such {what}")
