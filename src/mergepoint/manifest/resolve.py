"""From the checked tables to the resolved `Site`.

Place:  manifest.validate -> [manifest.resolve] -> manifest.checks, manifest.load
Rule:   paths made absolute, names given, defaults of the mode chosen; judges nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mergepoint.manifest.access import ACCOUNTS, Identity, Role
from mergepoint.manifest.layers import Layers
from mergepoint.manifest.machine import Machine
from mergepoint.manifest.messages import Bus
from mergepoint.manifest.resolve_app import Ground, placed, resolve_app
from mergepoint.manifest.resolve_bus import resolve_bus, resolve_schedules, resolve_subscriptions
from mergepoint.manifest.resolve_databases import resolve_databases
from mergepoint.manifest.resolve_identity import (
    accounts_app,
    derived_url,
    resolve_access,
    resolve_identity,
    resolve_roles,
)
from mergepoint.manifest.rundir import run_dir_of
from mergepoint.manifest.shown import KeyPath, dotted
from mergepoint.manifest.site import (
    App,
    Cache,
    Certificate,
    EdgeLimits,
    Listener,
    Mode,
    Origin,
    Site,
)
from mergepoint.manifest.tables.bus import BusTable
from mergepoint.manifest.tables.cache import CacheTable
from mergepoint.manifest.tables.site import ListenTable, SiteTable
from mergepoint.manifest.validate import Draft

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - only where the manifest says ":8000"


@dataclass(frozen=True, slots=True)
class Setting:
    """What resolving needs beside the tables."""

    file: Path
    profile: str
    mode: Mode
    machine: Machine
    layers: Layers
    dotenv: Mapping[str, str]
    env_files: Mapping[Path, Mapping[str, str]]


def resolve_site(draft: Draft, setting: Setting) -> Site:
    """Return the site; apps whose kind is not clear are left out."""
    table, directory = draft.site, setting.file.parent
    state_dir = placed(directory, table.state_dir)
    identity = _identity(draft, setting, state_dir)
    apps: dict[str, App] = {}
    for name, app in draft.apps.items():
        resolved = resolve_app(name, app.table, _ground(name, setting), origin_of(setting, name))
        if resolved is not None and identity is not None:
            access = resolve_access(name, app.table, identity, resolved.origins)
            resolved = replace(resolved, access=access)
        if resolved is not None:
            apps[name] = resolved
    if identity is not None:
        apps.pop(ACCOUNTS, None)  # told to the person by checks.identity
        if not identity.public_url:
            url = derived_url(_listeners(table), apps.values(), setting.mode)
            identity = replace(identity, public_url=url)
        own = accounts_app(identity, apps.values(), state_dir, setting.machine.python, setting.mode)
        apps[ACCOUNTS] = own
    return Site(
        name=table.name or site_name(directory.name),
        mode=setting.mode,
        file=setting.file,
        directory=directory,
        state_dir=state_dir,
        listeners=_listeners(table),
        apps=apps,
        certificates=tuple(
            Certificate(placed(directory, pair.cert), placed(directory, pair.key))
            for pair in table.tls.certificates
        ),
        hsts_s=table.tls.hsts_s,
        trusted_proxies=tuple(table.trusted_proxies),
        access_log=table.access_log or _access_log(setting.mode),
        compression=table.compression,
        edge_threads=table.edge_threads,
        edge_limits=EdgeLimits(**table.limits.model_dump()),
        memory_bytes_max=table.memory,
        origins=_origins(setting, ("site",)),
        profile=setting.profile,
        run_dir=run_dir_of(state_dir, setting.machine.environ, setting.machine.user_id),
        identity=identity,
        roles=_roles(draft, setting, identity),
        bus=_bus(draft, setting),
        subscriptions=resolve_subscriptions(
            draft.subscriptions, lambda position: _origin_of(setting, ("subscriptions", position))
        ),
        schedules=resolve_schedules(
            draft.schedules,
            {name: app.tasks.module for name, app in apps.items() if app.tasks is not None},
            lambda position: _origin_of(setting, ("schedules", position)),
        ),
        databases=resolve_databases(
            draft.databases,
            directory,
            {**setting.dotenv, **setting.machine.environ},
            lambda position: _origin_of(setting, ("databases", position)),
        ),
        cache=_cache(draft, apps.values()),
    )


def _identity(draft: Draft, setting: Setting, state_dir: Path) -> Identity | None:
    if draft.identity is None:
        return None
    return resolve_identity(
        draft.identity,
        setting.file.parent,
        state_dir,
        {**setting.dotenv, **setting.machine.environ},
        _origins(setting, ("identity",)),
        _origin_of(setting, ("identity",)),
    )


def _cache(draft: Draft, apps: Iterable[App]) -> Cache | None:
    """Return the site's cache, with its defaults where an app has one and nothing else is said."""
    if all(app.cache is None for app in apps):
        return None
    table = draft.cache or CacheTable()
    return Cache(
        bytes_max=table.room,
        entry_bytes_max=table.answer_max,
        lease_s=table.lease_s,
        poll_s=table.poll_s,
        call_s=table.call_s,
        expose=table.expose,
    )


def _bus(draft: Draft, setting: Setting) -> Bus | None:
    """Return the bus, also where nothing says so but something else of the manifest needs it."""
    table = draft.bus
    if table is None:
        tables = [app.table for app in draft.apps.values()]
        with_tasks = any(one.tasks is not None or one.celery is not None for one in tables)
        listed = (draft.subscriptions, draft.schedules, draft.databases)
        if not (with_tasks or any(listed)):
            return None
        table = BusTable()
    return resolve_bus(
        table,
        setting.file.parent,
        {**setting.dotenv, **setting.machine.environ},
        _origins(setting, ("bus",)),
        _origin_of(setting, ("bus",)),
    )


def _roles(draft: Draft, setting: Setting, identity: Identity | None) -> dict[str, Role]:
    if identity is None:
        return {}
    origins = {name: _origin_of(setting, ("roles", name)) for name in draft.roles}
    return resolve_roles(draft.roles, origins, identity.origin)


def site_name(directory: str) -> str:
    """Return a site name made from a directory's name."""
    plain = re.sub(r"[^a-z0-9]+", "-", directory.lower()).strip("-")
    return plain[:40].rstrip("-") if plain[:1].isalpha() else f"site-{plain}"[:40].rstrip("-")


def origin_of(setting: Setting, name: str) -> Origin:
    """Return where the app's table stands."""
    return _origin_of(setting, ("apps", name))


def _origin_of(setting: Setting, path: KeyPath) -> Origin:
    source = setting.layers.source(path)
    return Origin(source.file, source.line) if source else Origin(setting.file.name, 0)


def _ground(name: str, setting: Setting) -> Ground:
    wanted = setting.machine.environ.get("WEB_CONCURRENCY", "")
    count = int(wanted) if re.fullmatch(r"[0-9]{1,3}", wanted) else 0
    return Ground(
        directory=setting.file.parent,
        mode=setting.mode,
        machine=setting.machine,
        environment=setting.dotenv,
        env_files=setting.env_files,
        origins=_origins(setting, ("apps", name)),
        processes_default=count or None,
    )


def _origins(setting: Setting, table: KeyPath) -> dict[str, Origin]:
    """Return where each written key below `table` stands, by its dotted path from there."""
    return {
        dotted(path[len(table) :]): Origin(source.file, source.line)
        for path, source in setting.layers.sources.items()
        if path[: len(table)] == table and len(path) > len(table)
    }


def _access_log(mode: Mode) -> str:
    return "combined" if mode is Mode.DEVELOPMENT else "json"


def _listeners(table: SiteTable) -> tuple[Listener, ...]:
    listeners: list[Listener] = []
    certificates = bool(table.tls.certificates)
    https_port = _https_port(table, certificates=certificates)
    for entry in table.listen:
        tls = wants_tls(entry, certificates=certificates)
        base = entry.name or ("admin" if entry.admin else "https" if tls else "http")
        taken = {listener.name for listener in listeners}
        name, count = base, 2
        while name in taken and entry.name is None:
            name, count = f"{base}-{count}", count + 1
        listeners.append(
            Listener(
                name,
                full_address(entry.address),
                tls,
                entry.proxy_protocol,
                entry.admin,
                https_port if wants_redirect(entry, tls=tls) else None,
            )
        )
    return tuple(listeners)


def _https_port(table: SiteTable, *, certificates: bool) -> int | None:
    """Return the port of the first address for visitors that speaks TLS."""
    for entry in table.listen:
        port = entry.address.rpartition(":")[2]
        if wants_tls(entry, certificates=certificates) and not entry.admin and port.isdecimal():
            return int(port)
    return None


def wants_redirect(entry: ListenTable, *, tls: bool) -> bool:
    """Return whether a listener sends visitors to https://: as written, else on port 80."""
    if entry.redirect_https is not None:
        return entry.redirect_https
    return not (tls or entry.admin or entry.proxy_protocol) and entry.address.endswith(":80")


def full_address(written: str) -> str:
    """Return the address with its host: ``:8000`` listens on every address."""
    return (
        f"{EVERY_ADDRESS}{written}"
        if written.startswith(":") and written.count(":") == 1
        else written
    )


def wants_tls(entry: ListenTable, *, certificates: bool) -> bool:
    """Return whether a listener speaks TLS: as written, else on port 443 with a certificate."""
    if entry.tls is not None:
        return entry.tls
    return certificates and entry.address.endswith(":443")
