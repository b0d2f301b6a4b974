"""Bind the site's listeners once: from systemd, from a surviving edge, or from the address.

Place:  supervisor.run -> [supervisor.sockets] -> supervisor.edge_process
Rule:   a listener outlives every edge; a descriptor belongs to this process until `close`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from mergepoint.core.errors import MergepointError
from mergepoint.supervisor.contract import ListenerSpec

SYSTEMD_FD_FIRST = 3
PORTS_TRIED_MAX = 50
UNIX_MODE = 0o666
"""Any local user may connect to a listening Unix socket, as to a port."""


class ListenerRefused(MergepointError):
    """A listener could not be bound; the message names the address and who has it."""

    code = "listener.refused"


@dataclass(slots=True)
class Listener:
    """One bound socket; `spec.address` may differ from `bound` when port 0 was asked for."""

    spec: ListenerSpec
    socket: socket.socket

    @property
    def bound(self) -> str:
        """Return the address as it was really bound, such as ``127.0.0.1:41873``."""
        return address_of(self.socket)

    def close(self) -> None:
        """Close our copy; copies in edges go on accepting."""
        self.socket.close()


def parse_address(address: str) -> tuple[socket.AddressFamily, str, int]:
    """Return family, host or path, and port of ``host:port``, ``[v6]:port`` or ``unix:/path``."""
    if address.startswith("unix:"):
        return socket.AF_UNIX, address.removeprefix("unix:"), 0
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if not port.isdigit():
        raise ListenerRefused(f"listener address {address!r} has no port number")
    return family, "0.0.0.0" if host in {"", "*"} else host, int(port)  # noqa: S104 - was asked for


def bind(spec: ListenerSpec) -> Listener:
    """Bind and listen; raise `ListenerRefused` naming the owner of a busy port and a free one."""
    family, host, port = parse_address(spec.address)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family is socket.AF_UNIX:
            _remove_stale(host)
            sock.bind(host)
            Path(host).chmod(UNIX_MODE)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
            sock.bind((host, port))
        sock.listen(spec.backlog)
    except OSError as error:
        sock.close()
        raise _refusal(spec, error, host, port) from error
    sock.setblocking(False)
    return Listener(spec, sock)


def _remove_stale(path: str) -> None:
    """Remove a socket nobody listens on; leave anything else, so that bind tells it."""
    with contextlib.suppress(OSError):
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                Path(path).unlink()


def _refusal(spec: ListenerSpec, error: OSError, host: str, port: int) -> ListenerRefused:
    where = f"listener {spec.name!r} cannot use {spec.address}"
    if error.errno == errno.EADDRINUSE and port:
        free = free_port_after(host, port)
        return ListenerRefused(
            f"{where}: the port is used by {owner_of(port)}",
            next=f"stop it, or use another port, for instance {free}" if free else "stop it",
        )
    if error.errno == errno.EADDRINUSE:
        return ListenerRefused(f"{where}: another process listens there", next="stop it first")
    if error.errno == errno.EACCES and port and port < 1024:
        return ListenerRefused(
            f"{where}: ports below 1024 need root or CAP_NET_BIND_SERVICE",
            next="use a port above 1024, or let systemd open it (socket activation)",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return ListenerRefused(
            f"{where}: this machine has no address {host}", next="use an address of `ip addr`"
        )
    return ListenerRefused(f"{where}: {error.strerror}")


def owner_of(port: int) -> str:
    """Return who listens on a TCP port: ``nginx (pid 812)``; a guess is never made."""
    try:
        for connection in psutil.net_connections("tcp"):
            address = connection.laddr
            if connection.status != psutil.CONN_LISTEN or not address or address.port != port:
                continue
            if connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
            return "a process of another user"
    except (psutil.Error, OSError):
        return "another process"
    return "another process"


def free_port_after(host: str, port: int) -> int | None:
    """Return the next port that can be bound on this host, or None when none near is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in range(port + 1, min(port + 1 + PORTS_TRIED_MAX, 65536)):
        with socket.socket(family, socket.SOCK_STREAM) as sock, contextlib.suppress(OSError):
            sock.bind((host, candidate))
            return candidate
    return None


def from_systemd(environment: Mapping[str, str]) -> dict[str, int]:
    """Return the descriptors systemd passed to this very process, by name."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = int(environment.get("LISTEN_FDS", "0"))
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    given = {}
    for index in range(count):
        fd = SYSTEMD_FD_FIRST + index
        os.set_inheritable(fd, False)
        given[names[index] if index < len(names) and names[index] else str(index)] = fd
    return given


def take(specs: Iterable[ListenerSpec], given: Mapping[str, int]) -> dict[str, Listener]:
    """Return a listener for every spec: a given descriptor of that name, or a new socket.

    Given descriptors nobody wants are closed. When one cannot be bound, all are closed again.
    """
    specs = list(specs)
    listeners: dict[str, Listener] = {}
    for name in set(given) - {spec.name for spec in specs}:
        os.close(given[name])
    try:
        for spec in specs:
            if spec.name in given:
                sock = socket.socket(fileno=given[spec.name])
                sock.setblocking(False)
                listeners[spec.name] = Listener(spec, sock)
            else:
                listeners[spec.name] = bind(spec)
    except ListenerRefused:
        for listener in listeners.values():
            listener.close()
        raise
    return listeners


def address_of(sock: socket.socket) -> str:
    """Return where a socket is bound, in the form of the manifest."""
    name = sock.getsockname()
    if sock.family is socket.AF_UNIX:
        return f"unix:{name}"
    host, port = name[0], name[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_same(listener: Listener, spec: ListenerSpec) -> bool:
    """Tell whether a bound listener is what a spec asks for."""
    return listener.spec.address == spec.address or listener.bound == spec.address


def free_tcp_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago, for a worker reached by port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
