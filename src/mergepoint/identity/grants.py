"""Permissions for single objects, kept in the app's own database and asked there.

    grants.grant(session, grants.subject(who), "tickets.edit", ticket)
    session.scalars(select(Ticket).where(grants.where(who, "tickets.edit", Ticket)))

Place:  the user's models -> [identity.grants] -> SQLAlchemy 2
Rule:   a list is filtered by its SELECT, never afterwards; what the site grants needs no row.

`table` belongs into the app's own migrations: `grants.table.to_metadata(Base.metadata)`.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    and_,
    cast,
    delete,
    false,
    inspect,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from .permissions import PERMISSION_CHARS_MAX, checked, covering

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper

    from .subject import Identity

SUBJECT, ROLE, GROUP = "subject", "role", "group"
HOLDER_CHARS_MAX = 128
OBJECT_CHARS_MAX = 190
INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
"""Databases that can leave out a row which is there already."""

table = Table(
    "mergepoint_grants",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("object_type", String(OBJECT_CHARS_MAX), nullable=False),
    Column("holder_kind", String(8), nullable=False),
    Column("holder", String(HOLDER_CHARS_MAX), nullable=False),
    Column("permission", String(PERMISSION_CHARS_MAX), nullable=False),
    Column("object_id", String(OBJECT_CHARS_MAX), nullable=False),
    UniqueConstraint(
        "object_type", "holder_kind", "holder", "permission", "object_id",
        name="mergepoint_grants_once",
    ),
    Index("mergepoint_grants_object", "object_type", "object_id"),
)  # fmt: skip
"""The first constraint is the way of `where`, the index that of forgetting an object."""


class GrantRefused(ValueError):
    """A grant that cannot be made or asked for; the text says why."""


class Holder(NamedTuple):
    """Who holds a grant: a person or service by `sub`, everybody with a role, or a group."""

    kind: str
    name: str


class Key(NamedTuple):
    """The primary key of a model: the attribute's name and the column's type."""

    name: str
    type: Any


def subject(who: Identity | str) -> Holder:
    """Return one person or service as a holder: an identity, or its stable `sub`."""
    return _holder(SUBJECT, who if isinstance(who, str) else who.sub)


def role(name: str) -> Holder:
    """Return everybody with a role as a holder."""
    return _holder(ROLE, name)


def group(name: str) -> Holder:
    """Return the members of a group as a holder."""
    return _holder(GROUP, name)


def _holder(kind: str, name: str) -> Holder:
    if not name or len(name) > HOLDER_CHARS_MAX:
        raise GrantRefused(f"{name!r} is no {kind}: 1 to {HOLDER_CHARS_MAX} characters")
    return Holder(kind, name)


def grant(database: Session | Connection, holder: Holder, permission: str, target: Any) -> bool:
    """Let `holder` do `permission` to one object; tell whether that is new.

    `*` and `tickets.*` cover what they say, for this object alone. The object must have been
    flushed: a new one has no key yet. Two grants of the same at once are one on PostgreSQL and
    SQLite; on other databases the second raises IntegrityError.
    """
    row = _row(holder, permission, target)
    bind = database.get_bind() if isinstance(database, Session) else database
    insert = INSERTS.get(bind.dialect.name)
    if insert is not None:
        new = insert(table).values(row).on_conflict_do_nothing().returning(table.c.id)
        return database.execute(new).first() is not None
    same = and_(*(table.c[name] == value for name, value in row.items()))
    values = select(*(literal(value) for value in row.values()))
    absent = values.where(~select(table.c.id).where(same).exists())
    return bool(_count(database.execute(table.insert().from_select(list(row), absent))))


def revoke(database: Session | Connection, holder: Holder, permission: str, target: Any) -> bool:
    """Take back exactly what `grant` gave; tell whether there was anything to take."""
    row = _row(holder, permission, target)
    same = (table.c[name] == value for name, value in row.items())
    return bool(_count(database.execute(delete(table).where(*same))))


def forget(database: Session | Connection, target: Any) -> int:
    """Remove all grants on an object and return how many; for when the object is deleted."""
    kind, key = _object(target)
    gone = delete(table).where(table.c.object_type == kind, table.c.object_id == key)
    return _count(database.execute(gone))


def may(database: Session | Connection, who: Identity, permission: str, target: Any) -> bool:
    """Tell whether somebody may do this to one object; no query when the site grants it."""
    if who.anonymous:
        return False
    if who.may(permission):
        return True
    kind, key = _object(target)
    held = _held(who, permission, kind).where(table.c.object_id == key).limit(1)
    return database.execute(held).first() is not None


def where(who: Identity, permission: str, model: type[Any]) -> ColumnElement[bool]:
    """Return the condition for the rows of `model` on which somebody has a permission.

    True for all when the site grants it, false for nobody. Raises `GrantRefused` for a model whose
    primary key is not one integer, text or UUID.
    """
    key = _key(inspect(model))
    if who.anonymous:
        return false()
    if who.may(permission):
        return true()
    held = _held(who, permission, _type(inspect(model)))
    attribute: ColumnElement[Any] = getattr(model, key.name)
    found: ColumnElement[bool] = attribute.in_(
        held.with_only_columns(cast(table.c.object_id, key.type))
    )
    return found


def _held(who: Identity, permission: str, kind: str) -> Any:
    holders = [table.c.holder_kind == SUBJECT, table.c.holder == who.sub]
    conditions = [and_(*holders)]
    for held_kind, names in ((ROLE, who.roles), (GROUP, who.groups)):
        if names:
            conditions.append(and_(table.c.holder_kind == held_kind, table.c.holder.in_(names)))
    return select(table.c.object_id).where(
        table.c.object_type == kind,
        table.c.permission.in_(covering(checked(permission))),
        or_(*conditions),
    )


def _row(holder: Holder, permission: str, target: Any) -> dict[str, str]:
    kind, key = _object(target)
    return {
        "object_type": kind, "holder_kind": holder.kind, "holder": holder.name,
        "permission": checked(permission), "object_id": key,
    }  # fmt: skip


def _object(target: Any) -> tuple[str, str]:
    mapper = inspect(type(target))
    value = getattr(target, _key(mapper).name)
    if value is None:
        raise GrantRefused(f"this {type(target).__name__} has no key yet; flush it first")
    # Databases without a type for it keep a UUID as 32 digits; those with one read both forms.
    text = value.hex if isinstance(value, uuid.UUID) else str(value)
    if len(text) > OBJECT_CHARS_MAX:
        raise GrantRefused(f"a key of {len(text)} characters; at most {OBJECT_CHARS_MAX}")
    return _type(mapper), text


def _type(mapper: Mapper[Any]) -> str:
    return str(mapper.base_mapper.local_table)


def _key(mapper: Mapper[Any]) -> Key:
    keys = mapper.primary_key
    if len(keys) != 1 or not isinstance(keys[0].type, (Integer, String, Uuid)):
        raise GrantRefused(
            f"{mapper.class_.__name__} has the primary key ({', '.join(map(str, keys))}); "
            "grants need one column that is an integer, a text or a UUID"
        )
    return Key(str(mapper.get_property_by_column(keys[0]).key), keys[0].type)


def _count(done: Any) -> int:
    return int(done.rowcount)
