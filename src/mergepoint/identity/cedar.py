"""Decide by policies in a file, written in Cedar; the extra `mergepoint[policy]`.

    rules = load("tickets.cedar")
    rules.may(of(request), "tickets.edit", Resource("Ticket", "7", {"owner": "ada"}))

Place:  a .cedar file, identity.subject -> [identity.cedar] -> cedarpy
Rule:   a policy that fails while it is evaluated is an error, never a quiet no or yes.

The principal is `User::"<sub>"` (or `Service::`) with the attributes user, name, email, kind, lang,
amr, roles, groups and permissions, in `Role::"..."` and `Group::"..."`; somebody anonymous is
`Anonymous::"anonymous"`. The action is `Action::"<permission>"`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cedarpy

from .permissions import checked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .subject import Identity

POLICY_BYTES_MAX = 1 << 20
TOKENS = re.compile(r'//[^\n]*|"(?:\\.|[^"\\])*"|;|[^\s;"/]+|/', re.DOTALL)
FAILED = re.compile(r"error while evaluating policy `policy(\d+)`: (.*)", re.DOTALL)
KINDS = {"person": "User", "service": "Service"}
LISTS = ("roles", "groups", "permissions", "amr")
TEXTS = ("user", "name", "email", "kind", "lang")


class PolicyRefused(Exception):
    """A policy file that cannot be used, or a policy that failed; ``file:line: what``."""


class Resource(NamedTuple):
    """What is asked about: its type, id, attributes, and the ``(type, id)`` of what it is in."""

    type: str
    id: str
    attributes: Mapping[str, Any] = {}
    parents: tuple[tuple[str, str], ...] = ()


class Statement(NamedTuple):
    """One policy of a file and the line it begins at."""

    line: int
    text: str


class Policies:
    """The policies of one file, parsed once; safe in threads."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._statements = list(statements(text))
        for statement in self._statements:
            try:
                cedarpy.PolicySet.from_str(statement.text)
            except ValueError as error:
                raise PolicyRefused(f"{path}:{statement.line}: {error}") from None
        self._set = cedarpy.PolicySet.from_str(text)

    def may(
        self,
        who: Identity,
        permission: str,
        resource: Resource,
        context: Mapping[str, Any] | None = None,
    ) -> bool:
        """Tell whether some policy permits and none forbids.

        Raises `PolicyRefused` when a policy fails on these values, and for attributes that Cedar
        has no type for (it knows texts, whole numbers, truth values, lists and records).
        """
        principal = principal_of(who)
        asked = {
            "principal": principal["uid"],
            "action": {"type": "Action", "id": checked(permission)},
            "resource": {"type": resource.type, "id": resource.id},
            "context": dict(context or {}),
        }
        try:
            answer = cedarpy.is_authorized(asked, self._set, [principal, entity_of(resource)])
        except (ValueError, TypeError) as error:
            raise PolicyRefused(f"{self._path}: {error}") from None
        if answer.diagnostics.errors:
            raise PolicyRefused(self._located(answer.diagnostics.errors[0]))
        return bool(answer.allowed)

    def _located(self, message: str) -> str:
        found = FAILED.match(message)
        if found and int(found[1]) < len(self._statements):
            return f"{self._path}:{self._statements[int(found[1])].line}: {found[2]}"
        # What Cedar cannot take of the entities; it repeats them all before it says why.
        return f"{self._path}: {message.rpartition(']: ')[2]}"


def load(path: str | Path) -> Policies:
    """Return the policies of a file; raise `PolicyRefused` with the file and line."""
    try:
        data = Path(path).read_bytes()
        if len(data) > POLICY_BYTES_MAX:
            raise PolicyRefused(f"{path}: {len(data)} bytes; at most {POLICY_BYTES_MAX}")
        text = data.decode()
    except OSError as error:
        raise PolicyRefused(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise PolicyRefused(f"{path}: not UTF-8 at byte {error.start}") from None
    return Policies(str(path), text)


def statements(text: str) -> Iterator[Statement]:
    """Give the policies of a text with their lines; the last may lack its semicolon. Pure."""
    begin = -1
    for token in TOKENS.finditer(text):
        if begin < 0 and not token[0].startswith("//"):
            begin = token.start()
        if token[0] == ";":
            yield Statement(text.count("\n", 0, begin) + 1, text[begin : token.end()])
            begin = -1
    if begin >= 0:
        yield Statement(text.count("\n", 0, begin) + 1, text[begin:])


def principal_of(who: Identity) -> dict[str, Any]:
    """Return the entity of an identity; pure."""
    kind = KINDS.get(who.kind, "User")
    uid = (
        {"type": "Anonymous", "id": "anonymous"} if who.anonymous else {"type": kind, "id": who.sub}
    )
    parents = [{"type": "Role", "id": name} for name in who.roles]
    parents += [{"type": "Group", "id": name} for name in who.groups]
    attributes: dict[str, Any] = {name: getattr(who, name) for name in TEXTS}
    attributes.update((name, list(getattr(who, name))) for name in LISTS)
    return {"uid": uid, "attrs": attributes, "parents": parents}


def entity_of(resource: Resource) -> dict[str, Any]:
    """Return the entity of a resource; pure."""
    parents = [{"type": kind, "id": name} for kind, name in resource.parents]
    uid = {"type": resource.type, "id": resource.id}
    return {"uid": uid, "attrs": dict(resource.attributes), "parents": parents}
