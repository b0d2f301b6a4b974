"""From the tables of databases to what is in force.

Place:  manifest.validate -> [manifest.resolve_databases] -> manifest.resolve
Rule:   fills in paths and variables; judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mergepoint.manifest.databases import Followed
from mergepoint.manifest.origin import Origin
from mergepoint.manifest.resolve_bus import outbox_url
from mergepoint.manifest.tables.databases import DatabaseTable


def resolve_databases(
    tables: Mapping[int, DatabaseTable],
    directory: Path,
    variables: Mapping[str, str],
    origin_at: Callable[[int], Origin],
) -> tuple[Followed, ...]:
    """Return every database; `variables` is the environment secrets are taken from."""
    return tuple(
        Followed(
            name=table.name,
            url=outbox_url(table.url, directory, variables),
            tables=tuple(table.tables),
            ignore=tuple(table.ignore),
            apps=tuple(table.apps),
            keys={name: tuple(columns) for name, columns in table.keys.items()},
            origin=origin_at(position),
        )
        for position, table in tables.items()
    )
