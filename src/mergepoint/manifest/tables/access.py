"""The keys of an app that say who may use it.

Place:  manifest.validate -> [manifest.tables.access] -> manifest.tables.app
Rule:   shape and single values only; which roles exist is in manifest.checks.access.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from mergepoint.manifest.tables.requirements import (
    parse_guard_path,
    parse_header,
    parse_method,
    parse_requirement,
)
from mergepoint.manifest.tables.table import Table, key, listed

TERMS_MAX = 32
GUARDS_MAX = 256
HEADERS_MAX = 32


def _requirement(text: str) -> str:
    parse_requirement(text)
    return text


def _headers(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        parse_header(name)
    return value


Requirement = Annotated[str, AfterValidator(_requirement)]
Requirements = Annotated[
    list[Requirement],
    BeforeValidator(listed, json_schema_input_type=str | list[str]),
    Field(min_length=1, max_length=TERMS_MAX),
]
GuardPath = Annotated[str, AfterValidator(parse_guard_path)]
Method = Annotated[str, AfterValidator(parse_method)]
IdentityHeaders = Annotated[
    dict[str, Literal["user", "name", "email", "groups", "roles"]],
    Field(max_length=HEADERS_MAX),
    AfterValidator(_headers),
]


class GuardTable(Table):
    """Who may reach one path below the mount; the longest matching path decides."""

    path: GuardPath = key("Path below the mount, on whole segments; / is everything.", ...)
    methods: Annotated[
        list[Method],
        BeforeValidator(listed, json_schema_input_type=str | list[str]),
        Field(max_length=TERMS_MAX),
    ] = key("Methods it holds for; none means all, and GET covers HEAD.", [])
    require: Requirements = key(
        "Who may pass: one requirement, or a list of which any is enough.", ...
    )
