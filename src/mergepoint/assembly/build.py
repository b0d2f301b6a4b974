"""Turn a checked site into what the supervisor should run, and into the compiler of its snapshot.

Place:  manifest.site -> [assembly.build] -> supervisor.contract
Rule:   a digest changes exactly when running processes are no longer what is wanted; nothing is
        started here.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mergepoint.assembly import digests, messages
from mergepoint.assembly.binary import edge_argv
from mergepoint.assembly.identity import Prepared, edge_keys, prepare
from mergepoint.assembly.kept import kept_variables
from mergepoint.assembly.messages import Messages
from mergepoint.core.clock import Clock, SystemClock
from mergepoint.core.endpoints import Failure, SlotEndpoint
from mergepoint.edge.compile import compile_snapshot
from mergepoint.edge.health import readiness, worker_path
from mergepoint.host import boot
from mergepoint.manifest.site import App, Mode, PrefixMode, Site
from mergepoint.supervisor.contract import (
    AppSpec,
    EdgeSpec,
    Json,
    ListenerSpec,
    Probe,
    ProcessLimits,
    SnapshotSource,
    Wanted,
)
from mergepoint.supervisor.sources import looked_at

SECRET_BYTES = 32
BACKLOG = 128
SETTLE_S = {Mode.DEVELOPMENT: 0.2, Mode.PRODUCTION: 1.0}
"""How long the first process of a release must go on answering before it takes traffic."""
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""All that workers see of our own environment."""


def wanted_from_site(
    site: Site, *, environ: Mapping[str, str], edge_binary: Path | None = None
) -> tuple[Wanted, SnapshotSource]:
    """Return everything that should run for this site, and its snapshot compiler.

    Apps the machine cannot start (`Site.failures`) are left out and named in `Wanted.failures`.
    Raises `MergepointError` when there is no edge binary or a secret or key cannot be kept.
    """
    clock = SystemClock()
    prepared = prepare(site, clock.unix_s())
    secret = secret_of(site.state_dir)
    bus = messages.prepare(site, secret)
    apps = {
        name: app_spec(site, app, prepared, bus)
        for name, app in site.apps.items()
        if app.kind.has_processes and name not in site.failures
    }
    failures = {
        name: why for name, why in site.failures.items() if site.apps[name].kind.has_processes
    }
    if bus is not None:
        apps |= messages.service_specs(bus, apps)
    inherited = {name: environ[name] for name in INHERITED if name in environ}
    wanted = Wanted(
        site.name, apps, tuple(ListenerSpec(item.name, item.address) for item in site.listeners),
        edge_spec(site, edge_argv(edge_binary, environ)), site.run_dir, site.state_dir / "logs",
        site.memory_bytes_max, failures, inherited, (site.file, site.state_dir, site.run_dir),
    )  # fmt: skip
    return looked_at(wanted), Compiler(site, secret, prepared, clock)


class Compiler:
    """Compiles the snapshot of one site for whatever runs of it."""

    def __init__(self, site: Site, secret: bytes, prepared: Prepared | None, clock: Clock) -> None:
        self._site = site
        self._secret = secret
        self._prepared = prepared
        self._clock = clock

    def __call__(
        self,
        endpoints: Mapping[str, Sequence[SlotEndpoint]],
        failures: Mapping[str, Failure],
        generation: int,
        canary_share: Mapping[str, float],
    ) -> Json:
        """Return the whole snapshot for these endpoints; the clock chooses the key that signs."""
        prepared = self._prepared
        keys = edge_keys(prepared.edge, self._clock.unix_s()) if prepared else None
        return compile_snapshot(
            self._site, endpoints, failures, generation, canary_share, self._secret, keys
        )

    def due_s(self) -> float | None:
        """Return in how many seconds a key that was just made begins to sign."""
        prepared = self._prepared
        return prepared.edge.due_s(self._clock.unix_s()) if prepared else None


def app_spec(
    site: Site, app: App, prepared: Prepared | None = None, bus: Messages | None = None
) -> AppSpec:
    """Return how the processes of one app are started, proven and ended.

    `prepared` is what identity needs; only the accounts app itself is told of it. `bus` is told to
    every app but those that are part of Mergepoint.
    """
    argv = (str(app.python), boot.__file__) if app.kind.is_python else app.command
    by_socket = app.kind.is_python or any("{socket}" in part for part in app.command)
    own = prepared if app.builtin else None
    env = {**app.environment, **_told(site, app), **(own.environment if own else {})}
    if bus is not None and not app.builtin:
        env |= bus.environment(app.name, f"{app.name}/{{slot}}")
    digest = digests.digest([
        argv, by_socket, env, app.directory, app.user, app.group, app.limits, app.python,
        _own_version(app), *([own.kids] if own else []),
    ])  # fmt: skip
    limits, restart, timeouts = app.limits, app.restart, app.timeouts
    return AppSpec(
        app.name, digest, argv, "unix" if by_socket else "tcp", env, app.directory,
        processes=app.processes.start, processes_min=app.processes.min,
        processes_max=app.processes.max, user=app.user, group=app.group,
        limits=ProcessLimits(
            limits.memory_bytes_max, limits.cpu_share, limits.open_files_max,
            limits.child_processes_max,
        ),
        probe=probe(site, app), drain_s=timeouts.drain_s, kill_s=timeouts.kill_s,
        backoff_s=restart.backoff_s, backoff_s_max=restart.backoff_s_max,
        requests_max=restart.requests_max, requests_jitter=restart.requests_jitter,
        lifetime_s=restart.lifetime_s, chained=restart.chained, concurrency=app.concurrency,
        watch=app.watch,
    )  # fmt: skip


def probe(site: Site, app: App) -> Probe:
    """Return how a new process of this app proves itself, as the worker sees the paths."""
    check = readiness(app)
    prefix = {} if _mount(app) == "" else {"X-Forwarded-Prefix": _mount(app)}
    forwarded = {} if app.prefix is PrefixMode.KEEP else prefix
    return Probe(
        check.path, {**forwarded, **check.headers}, check.statuses, app.timeouts.ready_s,
        tuple(worker_path(app, path) for path in app.smoke), forwarded, SETTLE_S[site.mode],
    )  # fmt: skip


def edge_spec(site: Site, argv: tuple[str, ...]) -> EdgeSpec:
    """Return how the edge is started; what its snapshot says needs no new process."""
    env = {"MERGEPOINT_EDGE_THREADS": str(site.edge_threads)}
    binary = Path(argv[0])
    digest = digests.digest([argv, env, binary.stat().st_size, digests.file_digest(binary)])
    return EdgeSpec(argv, env, digest, site.edge_limits.drain_s)


def secret_of(state_dir: Path) -> bytes:
    """Return the key of sticky cookies, made once and kept with mode 0600."""
    path = state_dir / "secret"
    try:
        found = path.read_bytes()
        if len(found) == SECRET_BYTES:
            return found
    except FileNotFoundError:
        pass
    state_dir.mkdir(parents=True, exist_ok=True)
    secret = secrets.token_bytes(SECRET_BYTES)
    temporary = path.with_name(f".secret.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as stream:
        stream.write(secret)
    temporary.replace(path)
    return secret


def _told(site: Site, app: App) -> dict[str, str]:
    """Return what contracts.md section 3 promises to every worker of the app."""
    mount = _mount(app)
    told = {
        "MERGEPOINT_SITE": site.name,
        "MERGEPOINT_MODE": site.mode.value,
        "MERGEPOINT_MOUNT": mount,
        "MERGEPOINT_REQUEST_TIMEOUT_S": f"{app.timeouts.request_s:g}",
    }
    if url := _own_url(site):
        told["MERGEPOINT_URL"] = url
    if app.kind.is_python:
        told["MERGEPOINT_HOST"] = json.dumps(_host_document(app), sort_keys=True)
        told |= kept_variables(site, app)
    elif app.prefix is PrefixMode.KEEP:
        told["SCRIPT_NAME"] = mount
    return told


def _own_url(site: Site) -> str:
    """Return where apps reach the site from this machine; empty when it only has Unix sockets.

    A plain listener goes before one with TLS, whose certificate names another host, and before one
    that sends everybody there.
    """
    doors = [item for item in site.listeners if not item.admin]
    for listener in sorted(doors, key=lambda item: (item.https_port is not None, item.tls)):
        if listener.address.startswith("unix:"):
            continue
        host, _, port = listener.address.rpartition(":")
        loopback = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - compared, not bound
        return f"{'https' if listener.tls else 'http'}://{loopback.get(host, host)}:{port}"
    return ""


def _host_document(app: App) -> dict[str, Any]:
    return {
        "interface": "asgi" if app.kind.value == "asgi" else "wsgi",
        "target": app.target,
        "factory": app.factory,
        "members": [
            {
                "path": m.path,
                "target": m.target,
                "interface": m.interface.value,
                "factory": m.factory,
            }
            for m in app.members
        ],
        "server": app.server,
        "threads": app.threads,
        "directory": str(app.directory),
        "backlog": BACKLOG,
        "prefix": app.prefix.value,
    }


def _mount(app: App) -> str:
    return app.mounts[0].path.rstrip("/") if app.mounts else ""


def _own_version(app: App) -> str:
    """Return the content of the host shim that Python workers run inside: ours, not the app's."""
    if not app.kind.is_python:
        return ""
    folder = Path(boot.__file__).parent
    return digests.digest([(path.name, path.read_bytes()) for path in sorted(folder.glob("*.py"))])
