"""Check the shape of the merged document table by table, keeping what is sound in a broken one.

Place:  manifest.layers -> [manifest.validate] -> manifest.resolve
Rule:   every error once, with its source line; one broken key never hides another's error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from mergepoint.core.problems import Problem, Severity
from mergepoint.manifest.layers import Layers
from mergepoint.manifest.shown import KeyPath, dotted, quoted, shown
from mergepoint.manifest.tables.app import APP_NAME, AppTable
from mergepoint.manifest.tables.bus import (
    SCHEDULES_MAX,
    SUBSCRIPTIONS_MAX,
    BusTable,
    ScheduleTable,
    SubscriptionTable,
)
from mergepoint.manifest.tables.cache import CacheTable
from mergepoint.manifest.tables.databases import DATABASES_MAX, DatabaseTable
from mergepoint.manifest.tables.identity import (
    ROLE_NAME,
    ROLES_MAX,
    IdentityTable,
    RoleTable,
)
from mergepoint.manifest.tables.manifest import APPS_MAX, TABLES
from mergepoint.manifest.tables.site import SiteTable
from mergepoint.manifest.tables.table import Table
from mergepoint.manifest.words import explain, nearest

PROBLEMS_MAX = 200

T = TypeVar("T", bound=Table)


@dataclass(slots=True)
class Report:
    """Collects findings; knows where each path was written."""

    layers: Layers
    file: str
    problems: list[Problem] = field(default_factory=list)

    def add(
        self,
        path: KeyPath,
        message: str,
        *,
        fix: str = "",
        value: Any = None,
        severity: Severity = Severity.ERROR,
        app: str | None = None,
    ) -> None:
        """Note one finding at `path`; `value` is shown unless it is None.

        `app` is whom it stops, for findings that do not stand below that app's own table.
        """
        if len(self.problems) >= PROBLEMS_MAX:
            return
        source = self.layers.source(path)
        if path[:1] == ("apps",) and len(path) > 1:
            app = str(path[1])
        self.problems.append(
            Problem(
                file=source.file if source else self.file,
                line=source.line if source else 0,
                path=dotted(path),
                message=message,
                value=None if value is None else shown(path, value),
                fix=fix,
                severity=severity,
                app=app,
            )
        )


@dataclass(frozen=True, slots=True)
class AppDraft:
    """An app whose shape was checked; `broken` keys were refused and stand at their defaults."""

    name: str
    table: AppTable
    written: frozenset[str]
    broken: frozenset[str]

    def sound(self, *keys: str) -> bool:
        """Tell whether none of these keys was refused, so that a check of them makes sense."""
        return self.broken.isdisjoint(keys)


@dataclass(frozen=True, slots=True)
class Draft:
    """The document after its shape was checked."""

    site: SiteTable
    site_broken: frozenset[str]
    apps: Mapping[str, AppDraft]
    identity: IdentityTable | None = None
    """None where the document has no [identity]."""
    identity_broken: frozenset[str] = frozenset()
    roles: Mapping[str, RoleTable] = field(default_factory=dict)
    bus: BusTable | None = None
    """None where the document has no [bus]."""
    bus_broken: frozenset[str] = frozenset()
    subscriptions: Mapping[int, SubscriptionTable] = field(default_factory=dict)
    """By their place in the document; those with an error are left out."""
    schedules: Mapping[int, ScheduleTable] = field(default_factory=dict)
    databases: Mapping[int, DatabaseTable] = field(default_factory=dict)
    cache: CacheTable | None = None
    """None where the document has no [cache]."""
    cache_broken: frozenset[str] = frozenset()


def validate(report: Report) -> Draft:
    """Return what is sound of the merged document, and report everything that is not."""
    data = report.layers.data
    for name in data:
        if name not in TABLES:
            hint = nearest(name, TABLES)
            report.add(
                (name,), f"unknown table {quoted(name)}", fix=hint or "use [site] and [apps.NAME]"
            )
    site, broken = _table(SiteTable, data.get("site", {}), ("site",), report)
    identity, identity_broken = None, frozenset[str]()
    if "identity" in data:
        identity, identity_broken = _table(IdentityTable, data["identity"], ("identity",), report)
    roles = _roles(data.get("roles", {}), report)
    apps = _apps(data.get("apps", {}), report)
    bus, bus_broken = None, frozenset[str]()
    if "bus" in data:
        bus, bus_broken = _table(BusTable, data["bus"], ("bus",), report)
    cache, cache_broken = None, frozenset[str]()
    if "cache" in data:
        cache, cache_broken = _table(CacheTable, data["cache"], ("cache",), report)
    return Draft(
        site, broken, apps, identity, identity_broken, roles, bus, bus_broken,
        _listed(SubscriptionTable, data, "subscriptions", SUBSCRIPTIONS_MAX, report),
        _listed(ScheduleTable, data, "schedules", SCHEDULES_MAX, report),
        _listed(DatabaseTable, data, "databases", DATABASES_MAX, report),
        cache, cache_broken,
    )  # fmt: skip


def _roles(raw: Any, report: Report) -> dict[str, RoleTable]:
    if not isinstance(raw, dict):
        report.add(("roles",), "must be a table", value=raw, fix="write [roles.NAME]")
        return {}
    if len(raw) > ROLES_MAX:
        report.add(("roles",), f"more than {ROLES_MAX} roles", fix="use permissions and groups")
        return {}
    tables = {}
    for name, entry in raw.items():
        table, _ = _table(RoleTable, entry, ("roles", name), report)
        if ROLE_NAME.match(name):
            tables[name] = table
        else:
            fix = "use a lower-case letter, then letters, digits, - and _, 32 at most"
            report.add(("roles", name), "is not a role name", fix=fix)
    return tables


def _apps(raw: Any, report: Report) -> dict[str, AppDraft]:
    if not isinstance(raw, dict):
        report.add(("apps",), "must be a table", value=raw, fix="write [apps.NAME]")
        return {}
    if not raw and not report.problems:
        report.add((), "no apps", fix="add [apps.NAME], or let `mergepoint add PATH --at /x` do it")
    if len(raw) > APPS_MAX:
        report.add(("apps",), f"more than {APPS_MAX} apps", fix="split the site")
        return {}
    drafts = {}
    for name, entry in raw.items():
        path = ("apps", name)
        if not APP_NAME.match(name):
            fix = "use a lower-case letter, then letters, digits, - and _, 32 at most"
            report.add(path, "is not an app name", fix=fix)
        table, broken = _table(AppTable, entry, path, report)
        written = frozenset(entry) if isinstance(entry, dict) else frozenset()
        if APP_NAME.match(name):  # without a sound name there is no mount and no socket to speak of
            drafts[name] = AppDraft(name, table, written, broken)
    return drafts


def _listed(
    model: type[T], data: Mapping[str, Any], name: str, most: int, report: Report
) -> dict[int, T]:
    """Return the sound tables of ``[[name]]`` by their place; the others are reported."""
    raw = data.get(name, [])
    if not isinstance(raw, list):
        report.add((name,), "must be a list of tables", value=raw, fix=f"write [[{name}]]")
        return {}
    if len(raw) > most:
        report.add((name,), f"has more than {most} tables", fix="split the site")
        return {}
    tables: dict[int, T] = {}
    for position, entry in enumerate(raw):
        path = (name, position)
        if not isinstance(entry, dict):
            report.add(path, "must be a table", value=entry, fix=f"write [[{name}]]")
            continue
        try:
            tables[position] = model.model_validate(entry)
        except ValidationError as refused:
            for error in refused.errors(include_url=False, include_context=True):
                words = explain(model, error["loc"], entry, error)
                report.add((*path, *words.loc), words.message, fix=words.fix, value=words.value)
    return tables


def _table(model: type[T], raw: Any, path: KeyPath, report: Report) -> tuple[T, frozenset[str]]:
    """Return the table with every refused key at its default, and the names of those keys."""
    if not isinstance(raw, dict):
        report.add(path, "must be a table", value=raw, fix=f"write [{dotted(path)}]")
        return model(), frozenset(model.model_fields)
    broken: set[str] = set()
    sound = dict(raw)
    while True:
        try:
            return model.model_validate(sound), frozenset(broken)
        except ValidationError as refused:
            errors = refused.errors(include_url=False, include_context=True)
        for error in errors:
            words = explain(model, error["loc"], raw, error)
            report.add((*path, *words.loc), words.message, fix=words.fix, value=words.value)
        refused_keys = {str(error["loc"][0]) for error in errors if error["loc"]}
        broken |= refused_keys
        sound = {name: entry for name, entry in sound.items() if name not in refused_keys}
