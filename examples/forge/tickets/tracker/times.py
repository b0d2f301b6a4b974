"""Dates as people and programs read them.

Place:  [times] -> templates, api
Rule:   every stored moment is UTC.
"""

from __future__ import annotations

from datetime import datetime


def day(at: datetime) -> str:
    """Write a date as people say it: 3 November 2026."""
    return f"{at.day} {at:%B %Y}"


def moment(at: datetime) -> str:
    """Write a moment for machines, with its zone."""
    return at.isoformat(timespec="seconds") + "Z"
