"""From the table of one app to a resolved `App`: defaults filled in, paths absolute.

Place:  manifest.validate -> [manifest.resolve_app] -> manifest.resolve
Rule:   decides every default that depends on kind or mode, in one table each; judges nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mergepoint.manifest.machine import Machine
from mergepoint.manifest.messages import CeleryWorkers, TaskWorkers
from mergepoint.manifest.site import (
    App,
    AppCache,
    Kind,
    Limits,
    Member,
    Mode,
    Mount,
    Origin,
    PrefixMode,
    Processes,
    Queue,
    Redirect,
    Restart,
    StaticFiles,
    Timeouts,
)
from mergepoint.manifest.tables.app import BODY_UNLIMITED, KINDS, AppTable
from mergepoint.manifest.tables.forms import (
    parse_affinity,
    parse_host,
    parse_mount,
    parse_service,
    parse_target,
)
from mergepoint.manifest.tables.parts import MemberTable, ProcessesTable, RestartTable

CONCURRENCY_ASGI = 256
CONCURRENCY_COMMAND = 64
PROCESSES_AUTO_MAX = 16


@dataclass(frozen=True, slots=True)
class Ground:
    """What an app's defaults depend on."""

    directory: Path
    mode: Mode
    machine: Machine
    environment: Mapping[str, str]
    """Variables every app gets: the .env beside the manifest, in development."""
    env_files: Mapping[Path, Mapping[str, str]]
    origins: Mapping[str, Origin]
    processes_default: int | None
    """What WEB_CONCURRENCY says, if anything."""


TASK_THREADS_AUTO_MAX = 64
"""What `task_threads = "auto"` never goes beyond."""


def resolve_app(name: str, table: AppTable, ground: Ground, origin: Origin) -> App | None:
    """Return the app as it will run, or None when its kind is not clear."""
    kinds = [Kind(kind) for kind in KINDS if getattr(table, kind) is not None]
    if len(kinds) != 1:
        return None
    kind = kinds[0]
    directory = placed(ground.directory, table.directory)
    target, factory = _target(kind, table)
    threads = table.threads
    members = tuple(_member(member) for member in table.together or ())
    return App(
        name=name,
        kind=kind,
        mounts=mounts_of(name, table),
        origin=origin,
        directory=directory,
        target=target,
        factory=factory,
        command=tuple(table.command or ()),
        members=members,
        static=_static(table, ground.directory),
        redirect=_redirect(table),
        python=python_of(table, directory, ground) if kind.is_python else None,
        server=table.server,
        environment=_environment(table, directory, ground),
        user=table.user,
        group=table.group,
        processes=_processes(kind, table.processes, ground),
        threads=threads,
        concurrency=table.concurrency or _concurrency(kind, threads, members),
        limits=_limits(table),
        timeouts=_timeouts(table),
        queue=Queue(**table.queue.model_dump()),
        body_bytes_max=None if table.body == BODY_UNLIMITED else table.body,
        balance=parse_affinity(table.affinity),
        restart=_restart(table.restart, table.max_requests),
        prefix=PrefixMode(table.prefix) if table.prefix else _prefix(kind),
        ready=table.ready,
        smoke=tuple(table.smoke),
        health_interval_s=table.health_interval_s,
        compress=table.compress,
        watch=_watch(kind, table, directory),
        tasks=_tasks(kind, table),
        celery=_celery(kind, table),
        cache=_cache(table),
        origins=ground.origins,
    )


def _tasks(kind: Kind, table: AppTable) -> TaskWorkers | None:
    if table.tasks is None or not kind.is_python:
        return None
    auto = table.task_threads == "auto"
    threads = TASK_THREADS_AUTO_MAX if table.task_threads == "auto" else table.task_threads
    queues = tuple(table.task_queues)
    return TaskWorkers(table.tasks, table.task_processes, threads, queues, auto)


def _cache(table: AppTable) -> AppCache | None:
    if table.cache is None:
        return None
    written = table.cache.model_dump()
    lists = {name: tuple(written[name]) for name in ("cookies", "beside")}
    return AppCache(**{**written, **lists})


def _celery(kind: Kind, table: AppTable) -> CeleryWorkers | None:
    if table.celery is None or not kind.is_python:
        return None
    return CeleryWorkers(table.celery, table.celery_processes, table.celery_concurrency)


def placed(base: Path, written: str) -> Path:
    """Return `written` as an absolute path below `base`, with ~ for the home directory."""
    try:
        path = Path(written).expanduser()
    except RuntimeError:
        path = Path(written)
    return Path(*_collapsed((base / path).parts))


def _collapsed(parts: tuple[str, ...]) -> list[str]:
    """Take out ``..`` by the text alone, as `cd` does: links are the person's own business."""
    kept: list[str] = []
    for part in parts:
        if part != "..":
            kept.append(part)
        elif len(kept) > 1:
            kept.pop()
    return kept


def mounts_of(name: str, table: AppTable) -> tuple[Mount, ...]:
    """Return every mount: `host` applies to the mounts that name no host themselves."""
    hosts = [parse_host(host) for host in table.host or ("*",)]
    written = table.at or (["/"] if table.host else [f"/{name}"])
    mounts: list[Mount] = []
    for mount in map(parse_mount, written):
        own = [mount.host] if mount.host != "*" else hosts
        mounts += [Mount(path=mount.path, host=host) for host in own]
    return tuple(mounts)


def _target(kind: Kind, table: AppTable) -> tuple[str, bool]:
    if kind is Kind.HTTP and table.http:
        return parse_service(table.http), False
    written = table.wsgi or table.asgi
    if kind not in {Kind.WSGI, Kind.ASGI} or not written:
        return "", False
    target = parse_target(written)
    return target.text, target.factory


def _member(table: MemberTable) -> Member:
    written = table.wsgi or table.asgi or "missing:app"
    target = parse_target(written)
    kind = Kind.ASGI if table.asgi and not table.wsgi else Kind.WSGI
    path = "/" + table.path.strip("/")
    return Member(path=path, target=target.text, interface=kind, factory=target.factory)


def _static(table: AppTable, base: Path) -> StaticFiles | None:
    if table.static is None:
        return None
    root = placed(placed(base, table.directory), table.static)
    return StaticFiles(root, tuple(table.index), table.fallback, table.cache_control)


def _redirect(table: AppTable) -> Redirect | None:
    return Redirect(**table.redirect.model_dump()) if table.redirect else None


def python_of(table: AppTable, directory: Path, ground: Ground) -> Path:
    """Return the interpreter: of `venv`, of `python`, of a .venv beside the app, or our own."""
    if table.venv is not None:
        return placed(ground.directory, table.venv) / "bin" / "python"
    if table.python is not None:
        if "/" in table.python:
            return placed(ground.directory, table.python)
        wanted = table.python if table.python.startswith("python") else f"python{table.python}"
        return ground.machine.find_program(wanted) or Path("/nonexistent") / wanted
    beside = directory / ".venv" / "bin" / "python"
    return beside if ground.machine.is_runnable(beside) else ground.machine.python


def _environment(table: AppTable, directory: Path, ground: Ground) -> dict[str, str]:
    variables = dict(ground.environment)
    for file in table.env_file:
        variables |= ground.env_files.get(placed(directory, file), {})
    variables |= table.env
    if table.command and table.venv is not None:
        venv = placed(ground.directory, table.venv)
        path = variables.get("PATH") or ground.machine.environ.get("PATH", os.defpath)
        variables |= {"VIRTUAL_ENV": str(venv), "PATH": f"{venv / 'bin'}{os.pathsep}{path}"}
    return variables


def _processes(kind: Kind, table: ProcessesTable | None, ground: Ground) -> Processes:
    if not kind.has_processes:
        return Processes()
    if table is None:
        count = ground.processes_default or _processes_default(kind, ground.mode)
        return Processes(count, count, count)
    if table.auto:
        count = _processes_auto(ground)
        return Processes(count, count, count)
    fewest = table.min or table.start or 1
    start = table.start or fewest
    most = table.max or max(start, fewest)
    return Processes(start=start, min=fewest, max=most)


def _processes_default(kind: Kind, mode: Mode) -> int:
    # Two Python workers in production: one serves while the other is replaced or has crashed.
    # A command may own a file or a port that allows no second; its owner says so when it does not.
    return 2 if mode is Mode.PRODUCTION and kind.is_python else 1


def _processes_auto(ground: Ground) -> int:
    if ground.mode is Mode.DEVELOPMENT:
        return 1
    return min(max(2, ground.machine.cpus), PROCESSES_AUTO_MAX)


def _concurrency(kind: Kind, threads: int, members: tuple[Member, ...]) -> int:
    if kind is Kind.COMMAND:
        return CONCURRENCY_COMMAND
    blocking = kind is Kind.WSGI or any(member.interface is Kind.WSGI for member in members)
    return threads if blocking else CONCURRENCY_ASGI


def _prefix(kind: Kind) -> PrefixMode:
    if kind.is_python:
        return PrefixMode.HOST
    return PrefixMode.KEEP if kind is Kind.REDIRECT else PrefixMode.STRIP


def _limits(table: AppTable) -> Limits:
    limits = table.limits
    return Limits(limits.memory, limits.cpu, limits.files, limits.processes)


def _timeouts(table: AppTable) -> Timeouts:
    timeouts = table.timeouts.model_dump()
    if table.timeout_s is not None:
        timeouts["request_s"] = table.timeout_s
    return Timeouts(**timeouts)


def _restart(table: RestartTable, max_requests: int | None) -> Restart:
    requests_max = table.requests_max if max_requests is None else max_requests
    jitter = requests_max // 10 if table.requests_jitter is None else table.requests_jitter
    written = table.model_dump() | {"requests_max": requests_max, "requests_jitter": jitter}
    return Restart(**written)


def _watch(kind: Kind, table: AppTable, directory: Path) -> tuple[Path, ...]:
    if not kind.has_processes:
        return ()
    return tuple(
        placed(directory, path) for path in ([] if table.watch is None else table.watch)
    ) or ((directory,) if table.watch is None else ())
