"""What an app reads that is in no database of the site: files, processes, servers elsewhere.

Place:  cache.hooks -> [cache.strays]
Rule:   nothing is stopped or slowed; an answer made with such data is not kept.

Python reports these as audit events (PEP 578). A connection that stays open is reported once, when
it is made, so whoever has made one to somewhere unknown is not trusted afterwards.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

from mergepoint.cache import reads as reading

TEMPLATES = (
    ".css", ".hbs", ".htm", ".html", ".j2", ".jinja", ".jinja2", ".js", ".json", ".mako", ".mo",
    ".mustache", ".po", ".py", ".pyc", ".so", ".sql", ".svg", ".toml", ".xml", ".yaml", ".yml",
)  # fmt: skip
"""Files of an app's own directory that change with a release alone."""
SYSTEM = ("/usr/", "/lib", "/etc/", "/dev/", "/proc/self/", "/sys/")
SPAWNS = frozenset(
    ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn")
)
LISTS = frozenset(("os.listdir", "os.scandir"))
BLIND_MODULES = (
    "MySQLdb", "_mysql_connector", "apsw", "asyncpg._testbase", "cx_Oracle", "duckdb", "ibm_db",
    "lmdb", "oracledb.thick_impl", "plyvel",
     "psycopg2", "pylibmc", "pyodbc", "pysqlite3", "rocksdb",
)  # fmt: skip
"""Drivers in C that no event tells of."""


class Strays:
    """The hook, with what it lets pass."""

    def __init__(self, directory: str, beside: frozenset[str]) -> None:
        self._directory = os.path.realpath(directory) + os.sep
        self._python = tuple({sys.prefix, sys.base_prefix, sys.exec_prefix})
        self._beside = frozenset(name for place in beside for name in names_of(place))
        """Servers whose data is on no page: `address:port` or the path of a socket."""

    def heard(self, event: str, told: tuple[Any, ...]) -> None:
        """Take one audit event; called for every one of the process."""
        if event == "open":
            self._opened(told)
        elif event == "socket.connect":
            self._connected(told[1])
        elif event in SPAWNS:
            reading.spoil(f"it started a process: {event}")
        elif event in LISTS and not self._is_package(told[0]):
            reading.spoil(f"it listed a directory: {os.fsdecode(told[0] or '.')}")

    def _opened(self, told: tuple[Any, ...]) -> None:
        path, mode, flags = told[0], told[1], told[2]
        if isinstance(path, int) or writes_only(mode, flags):
            return
        try:
            text = os.fsdecode(path)
        except (TypeError, ValueError):
            return
        if not self._is_code(text):
            reading.spoil(f"it read a file: {text}")

    def _is_code(self, path: str) -> bool:
        full = path if path.startswith("/") else os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118 - asked for every file
        if full.startswith((*self._python, *SYSTEM)):
            return True
        return full.startswith(self._directory) and full.endswith(TEMPLATES)

    def _is_package(self, path: Any) -> bool:
        """Tell whether a directory is listed where Python looks for modules."""
        if isinstance(path, int):
            return False
        text = os.path.realpath(os.fsdecode(path or "."))
        if (text + os.sep).startswith((*self._python, *SYSTEM)):
            return True
        known = {os.path.realpath(entry or ".") for entry in sys.path}
        return text in known or os.path.isfile(os.path.join(text, "__init__.py"))  # noqa: PTH113, PTH118 - of few

    def _connected(self, address: Any) -> None:
        if isinstance(address, tuple) and len(address) >= 2:
            text = f"{address[0]}:{address[1]}"
        else:
            text = os.fsdecode(address) if isinstance(address, str | bytes) else str(address)
        if text not in self._beside:
            reading.go_blind(f"it is connected to {text}, which is no database of the site")


def names_of(place: str) -> set[str]:
    """Return how connections to a server may be reported: by its name and each of its addresses."""
    host, _, port = place.rpartition(":")
    if place.startswith("/") or not port.isdecimal():
        return {place}
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError:
        return {place}
    return {place, *(f"{address[0]}:{port}" for *_, address in found)}


def writes_only(mode: Any, flags: Any) -> bool:
    """Tell whether a file is opened to be written alone. Pure."""
    if isinstance(mode, str):
        return "r" not in mode and "+" not in mode
    return isinstance(flags, int) and flags & os.O_ACCMODE == os.O_WRONLY


def blind_module() -> str:
    """Return a loaded driver whose reads nobody sees, empty for none."""
    return next((name for name in BLIND_MODULES if name in sys.modules), "")
