"""Every setting of a site with where it came from: what `config show --origin` prints.

Place:  manifest.load -> [manifest.settings] -> cli
Rule:   written values come from the layers, all others from the tables' defaults; secrets redacted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from mergepoint.manifest.checks.kinds import ACCESS_KEYS, KEYS
from mergepoint.manifest.checks.mounts import shown_mount
from mergepoint.manifest.layers import From, Source
from mergepoint.manifest.load import Loaded
from mergepoint.manifest.shown import STARS, KeyPath, dotted, is_secret, shown
from mergepoint.manifest.site import App
from mergepoint.manifest.tables.app import KINDS


@dataclass(frozen=True, slots=True)
class SettingShown:
    """One value in force; `value` is as TOML would write it, redacted when it looks secret."""

    path: str
    value: str
    origin: str
    """``mergepoint.toml:12``, ``environment PORT``, ``.env:3``, ``flag port`` or ``default``."""
    layer: str
    """``file``, ``profile``, ``.env``, ``environment``, ``flag``, ``default`` or ``built-in``."""
    secret: bool = False


SHORT_FORMS = {"timeout_s": ("timeouts", "request_s"), "max_requests": ("restart", "requests_max")}
BUILT_IN = "built-in"
_DEFAULT = Source(From.DEFAULT, "default")


def list_settings(loaded: Loaded) -> tuple[SettingShown, ...]:
    """Return every setting of the site and its apps, in the order of the reference.

    A default that depends on the mode or the machine is shown in words. Empty when the manifest
    could not be read at all.
    """
    if loaded.draft is None:
        return ()
    rows = list(_rows(loaded, ("site",), loaded.draft.site))
    if loaded.draft.identity is not None:
        rows += _rows(loaded, ("identity",), loaded.draft.identity)
    for name, role in loaded.draft.roles.items():
        rows += _rows(loaded, ("roles", name), role)
    for name, app in loaded.draft.apps.items():
        rows += _rows(loaded, ("apps", name), app.table)
    if loaded.draft.bus is not None:
        rows += _rows(loaded, ("bus",), loaded.draft.bus)
    if loaded.draft.cache is not None:
        rows += _rows(loaded, ("cache",), loaded.draft.cache)
    for position, subscription in loaded.draft.subscriptions.items():
        rows += _rows(loaded, ("subscriptions", position), subscription)
    for position, schedule in loaded.draft.schedules.items():
        rows += _rows(loaded, ("schedules", position), schedule)
    for position, database in loaded.draft.databases.items():
        rows += _rows(loaded, ("databases", position), database)
    for own in loaded.site.apps.values() if loaded.site is not None else ():
        rows += _built_in(own) if own.builtin else ()
    return tuple(rows)


def _built_in(app: App) -> Iterator[SettingShown]:
    """Yield what a person would have written for an app that is part of Mergepoint."""
    path: KeyPath = ("apps", app.name)
    access = app.access
    values: dict[str, Any] = {
        "wsgi": f"{app.target}()",
        "at": [shown_mount(mount) for mount in app.mounts],
        "processes": app.processes.start,
        "threads": app.threads,
        "require": list(access.require) if access else [],
        "guards": [
            {"path": guard.path, "require": list(guard.require)}
            for guard in (access.guards if access else ())
        ],
    }
    for key, value in values.items():
        inner = (*path, key)
        yield SettingShown(dotted(inner), shown(inner, value), str(app.origin), BUILT_IN)


def _rows(loaded: Loaded, path: KeyPath, table: BaseModel) -> Iterator[SettingShown]:
    for name, field in type(table).model_fields.items():
        value, inner = getattr(table, name), (*path, name)
        written = _written(loaded, inner)
        if (
            path[0] == "apps"
            and len(path) == 2
            and not _applies(loaded, str(path[1]), name, written)
        ):
            continue
        if any(inner[2:] == SHORT_FORMS[short] for short in _short_forms(loaded, path)):
            continue
        if written is not None and not isinstance(written, dict):
            yield _row(loaded, inner, shown(inner, written))
        elif isinstance(value, BaseModel):
            yield from _rows(loaded, inner, value)
        elif isinstance(value, dict) and value:
            for key, entry in value.items():
                if isinstance(entry, BaseModel):
                    yield from _rows(loaded, (*inner, key), entry)
                else:
                    yield _row(loaded, (*inner, key), shown((*inner, key), entry))
        elif value is not None:
            yield _row(loaded, inner, shown(inner, _plain(value)))
        else:
            extra = field.json_schema_extra
            words = extra.get("stands_for", "") if isinstance(extra, dict) else ""
            yield _row(loaded, inner, _chosen(loaded, inner) or f"({words})")


def _applies(loaded: Loaded, app: str, key: str, written: Any) -> bool:
    """Tell whether the key means something for the app; short forms and kinds only when written."""
    if written is not None:
        return True
    site = loaded.site
    known = KEYS[site.apps[app].kind] if site and app in site.apps else frozenset()
    if key in ACCESS_KEYS and loaded.draft is not None and loaded.draft.identity is None:
        return False
    return key not in {*KINDS, *SHORT_FORMS} and (not known or key in known)


def _short_forms(loaded: Loaded, table: KeyPath) -> list[str]:
    """Return the short forms that were written, whose long forms would show a wrong default."""
    return [short for short in SHORT_FORMS if _written(loaded, (*table[:2], short)) is not None]


def _chosen(loaded: Loaded, path: KeyPath) -> str:
    """Return what stands for a key that was left out, where resolving chose a plain value."""
    site, name = loaded.site, str(path[-1])
    if site is None:
        return ""
    if path[0] == "site":
        chosen: Any = {"name": site.name, "access_log": site.access_log}.get(name)
    elif path == ("identity", "database") and site.identity is not None:
        chosen = site.identity.database.value
    elif len(path) == 3 and str(path[1]) in site.apps:
        app = site.apps[str(path[1])]
        chosen = {
            "at": [shown_mount(mount) for mount in app.mounts],
            "prefix": app.prefix.value,
            "python": str(app.python) if app.python else None,
            "processes": app.processes.start,
            "concurrency": app.concurrency,
            "watch": [str(place) for place in app.watch],
            "require": list(app.access.require) if app.access else None,
        }.get(name)
    else:
        chosen = None
    return "" if chosen is None else shown(path, chosen)


def _written(loaded: Loaded, path: KeyPath) -> Any:
    return loaded.layers.value(path)


def _row(loaded: Loaded, path: KeyPath, value: str) -> SettingShown:
    source = loaded.layers.sources.get(path, _DEFAULT)
    secret = is_secret(path) and STARS in value
    return SettingShown(dotted(path), value, str(source), source.layer.value, secret)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_none=True)
    return [_plain(entry) for entry in value] if isinstance(value, list) else value
