"""Grants on single objects: the SELECT gives exactly what a plain model of the rules gives."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mergepoint_testkit.postgres import running_postgres
from sqlalchemy import Engine, ForeignKey, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from mergepoint.identity import ANONYMOUS, Identity, grants
from mergepoint.identity.grants import GrantRefused, Holder
from mergepoint.identity.permissions import PermissionRefused


class Base(DeclarativeBase):
    pass


class Ticket(Base):
    __tablename__ = "tickets"
    number: Mapped[int] = mapped_column("id", primary_key=True)
    title: Mapped[str] = mapped_column(default="")


class Page(Base):
    __tablename__ = "pages"
    slug: Mapped[str] = mapped_column(primary_key=True)


class Upload(Base):
    __tablename__ = "uploads"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)


class Vote(Base):
    __tablename__ = "votes"
    ticket: Mapped[int] = mapped_column(ForeignKey("tickets.id"), primary_key=True)
    user: Mapped[str] = mapped_column(primary_key=True)


table = grants.table.to_metadata(Base.metadata)
TICKETS = range(1, 7)
SLUGS = ("start", "1", "2")
UPLOADS = tuple(uuid.UUID(int=number) for number in (1, 2, 1 << 127))

subjects = st.sampled_from(["sub-1", "sub-2"])
names = st.sampled_from(["team", "lead"])
holders = st.one_of(subjects.map(grants.subject), names.map(grants.role), names.map(grants.group))
asked = st.sampled_from(["t.edit", "t.read", "t.sub.edit", "w.edit"])
granted = st.sampled_from(["t.edit", "t.read", "t.*", "t.sub.*", "*", "w.edit"])
targets = st.one_of(
    st.sampled_from(TICKETS).map(lambda n: (Ticket, n)),
    st.sampled_from(SLUGS).map(lambda s: (Page, s)),
    st.sampled_from(UPLOADS).map(lambda u: (Upload, u)),
)
people = st.builds(
    Identity,
    sub=st.sampled_from(["sub-1", "sub-2", ""]),
    user=st.just("somebody"),
    roles=st.lists(names, max_size=2).map(tuple),
    groups=st.lists(names, max_size=2).map(tuple),
    permissions=st.sampled_from([(), (), (), ("t.read",), ("w.*",)]),
)
steps = st.lists(st.tuples(st.booleans(), holders, granted, targets), max_size=25)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with running_postgres() as server:
        yield server.url().replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    url = "sqlite://" if request.param == "sqlite" else request.getfixturevalue("postgres")
    made = create_engine(url)
    Base.metadata.create_all(made)
    with Session(made) as session:
        session.add_all([Ticket(number=number) for number in TICKETS])
        session.add_all([Page(slug=slug) for slug in SLUGS])
        session.add_all([Upload(id=number) for number in UPLOADS])
        session.commit()
    yield made
    made.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as made:
        yield made
        made.rollback()


def key_of(thing: Any) -> Any:
    return next(iter(thing.__mapper__.primary_key_from_instance(thing)))


def allowed(rows: set[Any], who: Identity, wanted: str, model: type, key: Any) -> bool:
    """The rules, written down once more without a database."""
    if not who.sub:
        return False
    if any(covers(held, wanted) for held in who.permissions):
        return True
    mine = {("subject", who.sub), *(("role", r) for r in who.roles),
            *(("group", g) for g in who.groups)}  # fmt: skip
    return any(
        tuple(holder) in mine and target == (model, key) and covers(held, wanted)
        for holder, held, target in rows
    )


def covers(held: str, wanted: str) -> bool:
    return held in ("*", wanted) or (held.endswith(".*") and wanted.startswith(held[:-1]))


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=steps, who=people, wanted=asked)
def test_the_select_gives_what_the_rules_give(
    engine: Engine, steps: list[Any], who: Identity, wanted: str
) -> None:
    rows: set[Any] = set()
    with Session(engine) as session:
        for gives, holder, permission, target in steps:
            model, key = target
            row = (holder, permission, target)
            change = grants.grant if gives else grants.revoke
            changed = change(session, holder, permission, session.get(model, key))
            assert changed is (row in rows) ^ gives
            rows = rows | {row} if gives else rows - {row}
        for model in (Ticket, Page, Upload):
            everything = session.scalars(select(model)).all()
            found = session.scalars(select(model).where(grants.where(who, wanted, model))).all()
            expected = {
                key_of(t) for t in everything if allowed(rows, who, wanted, model, key_of(t))
            }
            assert {key_of(thing) for thing in found} == expected
            assert len(found) == len(expected), "no row twice"
            one_by_one = {key_of(t) for t in everything if grants.may(session, who, wanted, t)}
            assert one_by_one == expected
        session.rollback()


def statements(engine: Engine, work: Any) -> list[str]:
    seen: list[str] = []

    def note(conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return seen


def test_a_list_is_one_select_and_what_the_site_grants_asks_no_table(
    engine: Engine, session: Session
) -> None:
    ada = Identity(sub="sub-1", user="ada", groups=("team",))
    admin = Identity(sub="sub-2", user="eve", permissions=("*",))
    ticket = session.get(Ticket, 1)

    def listed(who: Identity) -> Any:
        return session.scalars(select(Ticket).where(grants.where(who, "t.edit", Ticket))).all()

    assert len(statements(engine, lambda: listed(ada))) == 1
    assert all("mergepoint_grants" not in s for s in statements(engine, lambda: listed(admin)))
    assert statements(engine, lambda: grants.may(session, admin, "t.edit", ticket)) == []
    assert statements(engine, lambda: grants.may(session, ANONYMOUS, "t.edit", ticket)) == []
    assert len(listed(admin)) == len(TICKETS)
    assert listed(ANONYMOUS) == []


def test_the_select_of_a_list_uses_the_constraint_s_index() -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    ada = Identity(sub="sub-1", user="ada", groups=("team",), roles=("lead",))
    query = select(Ticket).where(grants.where(ada, "t.edit", Ticket))
    text = str(query.compile(engine, compile_kwargs={"literal_binds": True}))
    with engine.connect() as connection:
        plan = [str(row) for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + text)]

    assert any("SEARCH mergepoint_grants" in step for step in plan), plan
    assert not any("SCAN mergepoint_grants" in step for step in plan), plan


def test_two_at_once_make_one_grant(engine: Engine) -> None:
    lead = grants.role("lead")
    with Session(engine) as one, engine.connect() as two:
        ticket = one.get(Ticket, 1)
        assert grants.grant(one, lead, "t.edit", ticket)
        one.commit()
        assert not grants.grant(two, lead, "t.edit", ticket)
        assert grants.revoke(two, lead, "t.edit", ticket)
        two.commit()
        assert not grants.revoke(one, lead, "t.edit", ticket)
        one.commit()


def test_a_deleted_object_leaves_no_grants_for_the_next_of_its_number(session: Session) -> None:
    ticket = session.get(Ticket, 2)
    for permission in ("t.edit", "t.read"):
        grants.grant(session, grants.group("team"), permission, ticket)

    assert grants.forget(session, ticket) == 2
    member = Identity(sub="x", user="x", groups=("team",))
    assert not grants.may(session, member, "t.edit", ticket)


def test_what_cannot_be_granted_is_a_clear_error(session: Session) -> None:
    with pytest.raises(GrantRefused, match="no key yet; flush it first"):
        grants.grant(session, grants.role("lead"), "t.edit", Ticket())
    with pytest.raises(
        GrantRefused, match=r"Vote has the primary key \(votes.ticket, votes.user\)"
    ):
        grants.where(Identity(sub="1", user="a"), "t.edit", Vote)
    with pytest.raises(GrantRefused, match="'' is no subject"):
        grants.subject(ANONYMOUS)
    with pytest.raises(PermissionRefused, match="'t edit' is not the name"):
        grants.where(Identity(sub="1", user="a"), "t edit", Ticket)
    assert grants.subject(Identity(sub="1", user="a")) == Holder("subject", "1")
