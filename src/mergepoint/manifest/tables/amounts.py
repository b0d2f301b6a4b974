"""Sizes and durations as people write them: ``"1GiB"``, ``1048576``, ``"30s"``, ``1.5``.

Place:  [manifest.tables.amounts] -> manifest.tables
Rule:   pure; a plain number is bytes or seconds; anything else raises with an example.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

SIZE_BYTES_MAX = 1 << 50
DURATION_S_MAX = 366 * 86400.0

_UNITS_BYTES = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
    "k": 1 << 10,
    "m": 1 << 20,
    "g": 1 << 30,
    "t": 1 << 40,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
_UNITS_S = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_AMOUNT = re.compile(r"\s*([0-9]{1,16}(?:\.[0-9]{1,9})?)\s*([A-Za-z]{0,3})\s*\Z")


def refused(message: str, fix: str = "") -> PydanticCustomError:
    """Return an error that the manifest reader prints as it is, with its fix."""
    return PydanticCustomError("manifest", "{message}", {"message": message, "fix": fix})


def _amount(value: Any, units: dict[str, float] | dict[str, int]) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    match = _AMOUNT.match(value) if isinstance(value, str) else None
    unit = units.get(match[2].lower()) if match else None
    return None if match is None or unit is None else float(match[1]) * unit


def size_bytes(value: Any) -> int:
    """Return the bytes meant by ``"512MiB"`` or ``1048576``; raise when it is not a size."""
    amount = _amount(value, _UNITS_BYTES)
    if amount is None or not 0 < amount <= SIZE_BYTES_MAX or amount != int(amount):
        raise refused(
            "is not a size", 'write a number of bytes or a text such as "512MiB", "2GiB" or "1.5GB"'
        )
    return int(amount)


def size_text(count: int) -> str:
    """Return a size in the largest unit that says it exactly: ``2GiB``, ``1536MiB``, ``1000``."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count and count % factor == 0:
            return f"{count // factor}{unit}"
    return str(count)


def duration_s(value: Any) -> float:
    """Return the seconds meant by ``"500ms"``, ``"2m"`` or ``30``; raise on anything else."""
    amount = _amount(value, _UNITS_S)
    if amount is None or not math.isfinite(amount) or not 0 <= amount <= DURATION_S_MAX:
        raise refused(
            "is not a duration",
            'write a number of seconds or a text such as "500ms", "30s" or "2m"',
        )
    return float(amount)


def positive_duration_s(value: Any) -> float:
    """As `duration_s`, but zero is refused: it would mean no time at all."""
    seconds = duration_s(value)
    if seconds <= 0:
        raise refused("must be longer than zero", 'write a text such as "30s"')
    return seconds


Size = Annotated[int, BeforeValidator(size_bytes, json_schema_input_type=int | str)]
Duration = Annotated[
    float, BeforeValidator(positive_duration_s, json_schema_input_type=float | str)
]
DurationOrNever = Annotated[float, BeforeValidator(duration_s, json_schema_input_type=float | str)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
CountOrNone = Annotated[int, Field(ge=0, le=1_000_000_000)]
