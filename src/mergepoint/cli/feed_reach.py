"""Reach the databases and the feed of a site from a command.

Place:  cli.commands.feed -> [cli.feed_reach] -> assembly.feed
Rule:   a site without databases, or one that is not running, is told of in one sentence.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mergepoint.cli.invocation import invocation
from mergepoint.core.errors import Exit, MergepointError, NotRunning

if TYPE_CHECKING:
    from mergepoint.feed.contract import Audit, Database
    from mergepoint.manifest.site import Site

ANSWER_S = 5.0
CHUNK = 1 << 16


class NoDatabases(MergepointError):
    """The manifest names no database, or not this one."""

    code = "cli.no_databases"
    exit = Exit.USAGE


def site_with_databases() -> Site:
    """Return the site of this invocation; raise `NoDatabases` when it follows none."""
    from mergepoint.cli.site import running

    site = running(invocation()).site
    if site is None:
        raise MergepointError("the manifest has errors", next="mergepoint check")
    if not site.databases:
        raise NoDatabases(
            "this site follows no database",
            next='add [[databases]] with name = "main" and url = "..." to the manifest',
        )
    return site


def chosen(site: Site, name: str | None) -> Sequence[Database]:
    """Return the named database, or all of them."""
    from mergepoint.assembly.feed import databases_of

    found = databases_of(site)
    if name is None:
        return found
    named = [one for one in found if one.name == name]
    if not named:
        known = ", ".join(one.name for one in found)
        raise NoDatabases(f"there is no database {name!r}", next=f"databases: {known}")
    return named


def asked(site: Site) -> dict[str, Any]:
    """Return what the running feed says of itself; raise `NotRunning` when nobody answers."""
    from mergepoint.assembly.feed import socket_of

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(ANSWER_S)
        try:
            link.connect(str(socket_of(site)))
            link.sendall(b'{"id":1,"verb":"status"}\n')
            answer = b""
            while not answer.endswith(b"\n"):
                more = link.recv(CHUNK)
                if not more:
                    raise ConnectionError
                answer += more
        except OSError:
            raise NotRunning(
                "the feed of this site does not answer", next="mergepoint status"
            ) from None
    told: dict[str, Any] = json.loads(answer)
    return told


def audit_json(audit: Audit) -> dict[str, Any]:
    """Return an audit as `--json` prints it."""
    return {
        "tables": {table: list(columns) for table, columns in audit.tables.items()},
        "findings": [
            {
                "table": found.table,
                "fault": found.fault.name.lower(),
                "why": found.fault.value,
                "detail": found.detail,
                "voids": found.voids,
                "next": found.next,
            }
            for found in audit.findings
        ],
    }
