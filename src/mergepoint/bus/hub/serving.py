"""A hub as a process: open, listen, say READY, stop on a signal.

Place:  bus.hub.__main__, assembly -> [bus.hub.serving] -> bus.hub.hub
Rule:   whatever goes wrong at the start is said in a line; nothing listens before the file is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sqlite3
import ssl
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from mergepoint.bus.errors import BusRefused
from mergepoint.bus.hub.crash import crash_points
from mergepoint.bus.hub.extension import Extension
from mergepoint.bus.hub.hub import Hub
from mergepoint.bus.hub.log import Log, json_lines
from mergepoint.bus.hub.settings import HubRefused, HubSettings
from mergepoint.bus.hub.store import Store
from mergepoint.core.clock import Clock, SystemClock
from mergepoint.core.errors import Exit

BACKLOG = 1_024
STOP_S = 5.0
"""How long a stop may take; what is not answered by then was not accepted."""
DESCRIPTORS_BESIDE = 64


def serve(
    settings: HubSettings,
    extensions: Mapping[str, Extension] | None = None,
    *,
    ready_fd: int | None = None,
    clock: Clock | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code.

    `extensions` handle the operations that begin with their names. `READY` and a line end are
    written to `ready_fd`, which is closed then, once clients can connect.
    """
    clock = clock or SystemClock()
    log = json_lines(clock.unix_s)
    try:
        return asyncio.run(_serve(settings, extensions or {}, ready_fd, clock, log))
    except BusRefused as error:
        log("hub.refused", message=error.message, next=error.next)
        return int(error.exit)


async def _serve(
    settings: HubSettings,
    extensions: Mapping[str, Extension],
    ready_fd: int | None,
    clock: Clock,
    log: Log,
) -> int:
    began_s = clock.monotonic_s()
    token, tls = _remote_access(settings)
    store = _opened(settings, clock, extensions)
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def broken(error: BaseException) -> None:
        log("hub.broken", error=f"{type(error).__name__}: {error}", path=str(store.path))
        if not stopped.done():
            stopped.set_result(int(Exit.FAILED))

    hub = Hub(settings, store, clock, extensions=extensions, token=token, log=log, broken=broken)
    crash_points(settings.crash_at)("hub.before_listen")
    try:
        servers = await _listen(hub, settings, tls)
    except OSError as error:
        store.close()
        raise HubRefused(f"cannot listen: {error}", next="is another hub running?") from None
    _on_signals(stopped)
    log("hub.started", pid=os.getpid(), seconds=round(clock.monotonic_s() - began_s, 3))
    _say_ready(ready_fd)
    code = await stopped
    await _stop(hub, servers, settings, store, log)
    return code


def _opened(settings: HubSettings, clock: Clock, extensions: Mapping[str, Extension]) -> Store:
    store = Store(settings, clock)
    try:
        store.begin(synced=True)
        for extension in extensions.values():
            extension.prepare(store.database.db)
        store.database.commit()
    except (sqlite3.Error, BusRefused) as error:
        store.database.close()
        raise HubRefused(f"{store.path}: {error}", next="see the hub's version and disk") from None
    return store


async def _listen(
    hub: Hub, settings: HubSettings, tls: ssl.SSLContext | None
) -> list[asyncio.Server]:
    _raise_descriptors(settings.connections_max + DESCRIPTORS_BESIDE)
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_unix_server(
            lambda: hub.connection(remote=False), sock=_socket(settings.socket), backlog=BACKLOG
        )
    ]
    if tls is not None:
        host, _, port = settings.listen.rpartition(":")
        servers.append(
            await loop.create_server(
                lambda: hub.connection(remote=True),
                host.strip("[]") or None,
                int(port),
                ssl=tls,
                backlog=BACKLOG,
            )
        )
    return servers


def _socket(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A socket of a hub that was killed is in the way; the lock on the file says that it is gone.
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise HubRefused(f"{path} is there and no socket", next="move it away")
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    return listening


def _remote_access(settings: HubSettings) -> tuple[str, ssl.SSLContext | None]:
    if not settings.listen:
        return "", None
    port = settings.listen.rpartition(":")[2]
    if not port.isdigit() or not 0 <= int(port) <= 65_535:
        raise HubRefused(f"listen = {settings.listen!r}; it is host:port")
    try:
        token = Path(settings.token_file).read_text().strip()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise HubRefused(f"token_file, certificate or key: {error}") from None
    if len(token) < 16:
        raise HubRefused(f"{settings.token_file}: a token of {len(token)} characters; 16 at least")
    return token, context


def _on_signals(stopped: asyncio.Future[int]) -> None:
    def stop() -> None:
        if not stopped.done():
            stopped.set_result(int(Exit.OK))

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _raise_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _say_ready(ready_fd: int | None) -> None:
    if ready_fd is not None:
        with contextlib.suppress(OSError):
            os.write(ready_fd, b"READY\n")
        with contextlib.suppress(OSError):
            os.close(ready_fd)


async def _stop(
    hub: Hub, servers: list[asyncio.Server], settings: HubSettings, store: Store, log: Log
) -> None:
    for server in servers:
        server.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(hub.stop(), STOP_S)
    with contextlib.suppress(FileNotFoundError):
        settings.socket.unlink()
    try:
        store.close()
    except sqlite3.Error as error:
        # Everything that was answered is in the log beside the file.
        log("hub.close_failed", error=str(error))
    log("hub.stopped", seconds_cpu=round(time.process_time(), 3))
