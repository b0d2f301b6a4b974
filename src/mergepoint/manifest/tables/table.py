"""What every table of the manifest has in common.

Place:  [manifest.tables.table] -> manifest.tables
Rule:   unknown keys are refused; nothing is converted silently.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict


class Table(BaseModel):
    """A TOML table; frozen, strict, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def key(
    description: str, default: Any = None, *, stands_for: str = "", **rules: Any
) -> Any:  # Any: as pydantic's Field
    """Declare one key; `stands_for` says what leaving it out means when the default is None."""
    extra: JsonDict | None = {"stands_for": stands_for} if stands_for else None
    return Field(default=default, description=description, json_schema_extra=extra, **rules)


def listed(value: Any) -> Any:
    """Return a single text as a list of one; leave everything else to the type check."""
    return [value] if isinstance(value, str) else value
