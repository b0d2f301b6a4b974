"""``[[databases]]``: databases whose changes are followed, whoever makes them.

Place:  manifest.validate -> [manifest.tables.databases] -> manifest.tables.manifest
Rule:   shape and single values only; a password is the name of a variable.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from mergepoint.manifest.tables.amounts import refused
from mergepoint.manifest.tables.forms import database_url
from mergepoint.manifest.tables.table import Table, key

DATABASES_MAX = 32
TABLES_MAX = 2_000
KEYS_MAX = 8
IGNORED = ["django_session"]
"""Written by every visit, shown on no page."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Names = Annotated[list[Name], Field(max_length=TABLES_MAX)]
Columns = Annotated[list[Name], Field(min_length=1, max_length=KEYS_MAX)]


_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")


def _name(text: str) -> str:
    if not _NAME.match(text):
        fix = "use a lower-case letter, then letters, digits, - and _, 32 at most"
        raise refused("is not the name of a database", fix)
    return text


def _url(text: str) -> str:
    return database_url(text, "is not a database whose changes can be followed")


class DatabaseTable(Table):
    """A database whose changes the hub reads from a log that triggers fill."""

    name: Annotated[str, AfterValidator(_name)] = key(
        "How tags, commands and handlers call it.", ...
    )
    url: Annotated[str, AfterValidator(_url)] = key(
        "sqlite:///file beside this manifest, sqlite:////absolute, or postgresql://..., with "
        "${NAME} for secrets.",
        ...,
    )
    tables: Names = key(
        "Tables whose changes are logged; those outside PostgreSQL's public schema are "
        "SCHEMA.TABLE. Empty: all tables.",
        [],
    )
    apps: Names = key(
        "Apps that are told its address, as MERGEPOINT_DATABASES. Empty: every app that runs as "
        "the site's own user.",
        [],
    )
    ignore: Names = key("Tables whose changes alter no page.", IGNORED)
    keys: Annotated[dict[Name, Columns], Field(max_length=TABLES_MAX)] = key(
        "Columns by table whose values make tags of their own, beside the primary key: "
        '{ tickets = ["project_id"] }.',
        {},
    )
