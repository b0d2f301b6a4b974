"""Say a shape error in the words of the manifest: what is wrong, and what to write instead.

Place:  manifest.validate -> [manifest.words]
Rule:   pure; one row per kind of error; suggestions come from the models, so they cannot go stale.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from mergepoint.manifest.shown import KeyPath, quoted
from mergepoint.manifest.tables.app import AppTable
from mergepoint.manifest.tables.identity import IdentityTable
from mergepoint.manifest.tables.site import SiteTable

SYNONYMS = {
    "bind": "listen",
    "chdir": "directory",
    "cmd": "command",
    "cwd": "directory",
    "dir": "directory",
    "environment": "env",
    "envfile": "env_file",
    "health": "ready",
    "healthcheck": "ready",
    "hosts": "host",
    "instances": "processes",
    "log": "access_log",
    "mount": "at",
    "path": "at",
    "port": "listen",
    "proxy": "http",
    "pythonhome": "venv",
    "replicas": "processes",
    "root": "static",
    "route": "at",
    "run": "command",
    "timeout": "timeout_s",
    "uid": "user",
    "gid": "group",
    "url": "at",
    "virtualenv": "venv",
    "workdir": "directory",
    "workers": "processes",
}

KNOWN_MAX = 16

_TYPES = {
    "string_type": ("must be text", "write it in quotes"),
    "int_type": ("must be a whole number", "write it without quotes"),
    "int_from_float": ("must be a whole number", "leave out the fraction"),
    "float_type": ("must be a number", "write it without quotes"),
    "bool_type": ("must be true or false", "write it without quotes"),
    "list_type": ("must be a list", "write [...]"),
    "dict_type": ("must be a table", "write { ... }"),
    "model_type": ("must be a table", "write { ... }"),
    "model_attributes_type": ("must be a table", "write { ... }"),
}


@dataclass(frozen=True, slots=True)
class Words:
    """One error as the manifest says it; `loc` is relative to the table that was checked."""

    loc: KeyPath
    message: str
    fix: str = ""
    value: Any = None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean "processes"?``, or nothing when no known name is near."""
    names = list(known)
    synonym = SYNONYMS.get(name.lower(), "")
    near = [synonym] if synonym in names else difflib.get_close_matches(name, names, 1, 0.6)
    return f"did you mean {quoted(near[0])}?" if near else ""


def explain(model: type[BaseModel], loc: KeyPath, raw: Any, error: Mapping[str, Any]) -> Words:
    """Return the words for one pydantic error at `loc` of the `raw` table."""
    kind, context = error["type"], error.get("ctx") or {}
    at, value = _written(raw, loc)
    if kind == "extra_forbidden":
        return _unknown(model, loc)
    if kind == "missing":
        return Words(at, f"needs {quoted(str(loc[-1]))}", f"add {loc[-1]} = ...")
    if kind == "manifest":
        return Words(at, context["message"], context["fix"], value)
    if kind == "literal_error":
        return _choice(at, value, str(context["expected"]))
    if kind in _TYPES:
        return Words(at, *_TYPES[kind], value)
    return Words(at, *_bound(kind, context, str(error["msg"])), value)


def _unknown(model: type[BaseModel], loc: KeyPath) -> Words:
    table = model_at(model, loc[:-1])
    known = list(table.model_fields) if table else []
    name = str(loc[-1])
    fix = nearest(name, known) or _elsewhere(table, name) or _known(known)
    return Words(loc, f"unknown key {quoted(name)}", fix)


def _elsewhere(table: type[BaseModel] | None, name: str) -> str:
    """Say so when the key belongs to the other kind of table."""
    meant = SYNONYMS.get(name, name)
    if table is SiteTable and meant in AppTable.model_fields:
        return f"{meant} belongs under [apps.NAME]"
    if table is AppTable and meant in SiteTable.model_fields:
        return f"{meant} belongs under [site]"
    if table in {AppTable, SiteTable} and meant in IdentityTable.model_fields:
        return f"{meant} belongs under [identity]"
    if table is IdentityTable and meant in SiteTable.model_fields:
        return f"{meant} belongs under [site]"
    if table is IdentityTable and meant in AppTable.model_fields:
        return f"{meant} belongs under [apps.NAME]"
    return ""


def _known(known: list[str]) -> str:
    if len(known) > KNOWN_MAX:
        return "docs/reference/manifest.md lists the keys"
    return f"known here: {', '.join(known)}"


def _choice(at: KeyPath, value: Any, expected: str) -> Words:
    options = expected.replace("'", '"')
    words = [part for part in options.replace(" or ", ", ").split(", ") if part]
    plain = [word.strip('"') for word in words]
    near = nearest(value, plain) if isinstance(value, str) else ""
    return Words(at, f"must be {options}", near, value)


def _bound(kind: str, context: Mapping[str, Any], message: str) -> tuple[str, str]:
    many = {"too_long": "max_length", "too_short": "min_length"}
    if kind in many:
        if context[many[kind]] == 1:
            return "must not be empty", "leave the key out for its default"
        word = "at most" if kind == "too_long" else "at least"
        return f"must have {word} {context[many[kind]]} entries", ""
    if kind == "string_too_short":
        return "must not be empty", "leave the key out for its default"
    limits = {
        "greater_than_equal": ("at least", "ge"),
        "less_than_equal": ("at most", "le"),
        "greater_than": ("more than", "gt"),
        "less_than": ("less than", "lt"),
        "string_too_long": ("at most this many characters:", "max_length"),
    }
    if kind in limits:
        word, name = limits[kind]
        return f"must be {word} {context[name]:g}", ""
    if kind == "finite_number":
        return "must be a finite number", ""
    return f"{message[:1].lower()}{message[1:]}", ""


def _written(raw: Any, loc: KeyPath) -> tuple[KeyPath, Any]:
    """Return the longest part of `loc` that was really written, and the value there."""
    value: Any = raw
    at: list[str | int] = []
    for part in loc:
        known: Any = value if isinstance(value, dict) else dict(enumerate(_entries(value)))
        if part not in known:
            break
        value = known[part]
        at.append(part)
    return tuple(at), (value if at else None)


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def model_at(model: type[BaseModel], loc: KeyPath) -> type[BaseModel] | None:
    """Return the table model that stands at `loc` below `model`."""
    here: type[BaseModel] | None = model
    named = False  # the next part is a person's own name in a table of tables
    for part in loc:
        if here is None:
            return None
        if named or isinstance(part, int):
            named = False
            continue
        field = here.model_fields.get(str(part))
        here = table_model(field.annotation) if field else None
        named = field is not None and here is not None and _is_mapping(field.annotation)
    return here


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(map(_is_mapping, get_args(annotation)))


def table_model(annotation: Any) -> type[BaseModel] | None:
    """Return the table model inside ``X``, ``X | None``, ``list[X]`` or ``dict[str, X]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = table_model(inner)
        if found is not None:
            return found
    return None
