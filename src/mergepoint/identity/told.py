"""The plain headers that tell an app who asks, as the edge writes them.

Place:  [identity.told] -> cli (`explain --as`); the edge's twin is identity/remote.rs
Rule:   pure; one name, one value, no control character; what is empty is left out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

LIST_BYTES_MAX = 4096
"""Longest list of names; the rest is in `Mergepoint-Identity` alone."""
STANDARD = {
    "Remote-User": ("user",),
    "Remote-Name": ("name",),
    "Remote-Email": ("email",),
    "Remote-Groups": ("roles", "groups"),
}
LISTS = {"roles", "groups"}


def remote_headers(claims: Mapping[str, Any], own: Mapping[str, str]) -> dict[str, str]:
    """Return what an app reads of a proven visitor; `own` are its headers beside the standard."""
    wanted = {**STANDARD, **{name: (carries,) for name, carries in own.items()}}
    values = {name: _value(carries, claims) for name, carries in wanted.items()}
    return {name: value for name, value in values.items() if value}


def _value(carries: tuple[str, ...], claims: Mapping[str, Any]) -> str:
    if carries[0] in LISTS:
        return joined(name for one in carries for name in claims.get(one) or ())
    return _clean(claims.get(carries[0]) or "")


def _clean(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c) != "Cc").strip()


def joined(names: Iterable[str]) -> str:
    """Return names joined by commas, each once, without those that could be read as two."""
    kept: list[str] = []
    size = 0
    for name in names:
        length = len(name.encode()) + (1 if kept else 0)
        if not name or "," in name or _clean(name) != name or name in kept:
            continue
        if size + len(name.encode()) >= LIST_BYTES_MAX:
            continue
        kept.append(name)
        size += length
    return ",".join(kept)
