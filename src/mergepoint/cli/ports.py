"""Who listens on a port, and which port is free instead.

Place:  cli.serving, cli.checkup, cli.doctor -> [cli.ports]
Rule:   asks the system, changes nothing; a forbidden port is told apart from a busy one.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from mergepoint.core.errors import MergepointError
from mergepoint.manifest.site import Listener, Site

NEIGHBOURS_MAX = 50
"""Ports tried above a busy one before giving up."""


class PortBusy(MergepointError):
    """Another process listens where this site should."""

    code = "cli.port_busy"


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that listens on a port; pid 0 when the system does not tell."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})" if self.pid else "another process"


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``127.0.0.1:8000``, ``[::]:443`` or ``:80``."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def bind_error(host: str, port: int) -> int:
    """Try to bind and let go at once; return 0 or the system's error number."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno or errno.EINVAL
    return 0


def owner_of(port: int) -> Owner:
    """Return the process that listens on `port`, as far as the system tells us."""
    import psutil

    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:
        return Owner(0, "")
    for connection in connections:
        local = connection.laddr
        if connection.status != psutil.CONN_LISTEN or not local or local.port != port:
            continue
        if connection.pid:
            try:
                return Owner(connection.pid, psutil.Process(connection.pid).name())
            except psutil.Error:
                return Owner(connection.pid, "a process")
    return Owner(0, "")


def free_port(host: str, port: int) -> int | None:
    """Return the next port above `port` that can be bound, None when none is near."""
    for candidate in range(port + 1, min(port + NEIGHBOURS_MAX, 65536)):
        if bind_error(host, candidate) == 0:
            return candidate
    return None


def busy_listener(site: Site) -> PortBusy | None:
    """Return the error for the first listener whose port is taken, None when all are free."""
    for listener in site.listeners:
        if listener.address.startswith("unix:"):
            continue
        host, port = split_address(listener.address)
        if bind_error(host, port) == errno.EADDRINUSE:
            return _busy(listener, host, port)
    return None


def _busy(listener: Listener, host: str, port: int) -> PortBusy:
    free = free_port(host, port)
    following = f"mergepoint run --port {free}" if free else f"ss -ltnp 'sport = :{port}'"
    owner = owner_of(port)
    return PortBusy(
        f"{listener.address} is in use by {owner}; listener {listener.name!r} cannot bind it",
        next=following,
    )
