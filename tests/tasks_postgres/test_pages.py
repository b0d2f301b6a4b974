"""The pages tell the truth: the example completes its task, and the rights listed are enough."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from mergepoint.core.clock import SystemClock
from mergepoint.tasks import Context
from mergepoint.tasks.contract import Ending, Finish, Start
from mergepoint.tasks.executing import Job, context_of, run
from mergepoint.tasks.ledger.postgres import PostgresLedger
from mergepoint.tasks.outbox.rows import COMPLETE, DIRECT_TASK, marked
from mergepoint.tasks.sending import inbox_put
from mergepoint.tasks.spec import Spec
from mergepoint.wire.envelope import to_attributes
from tests.tasks_postgres.desks import engine_on
from tests.tasks_postgres.sites import PostgresSite

DOCS = Path(__file__).parents[2] / "docs"
TOKEN = "1"


class Base(DeclarativeBase):
    pass


class Payment(Base):
    __tablename__ = "payments"
    invoice: Mapped[int] = mapped_column(primary_key=True)


def test_the_example_of_a_task_that_completes_itself_does_so(site: PostgresSite) -> None:
    (example,) = re.findall(
        r"```py\n(.*?)```", (DOCS / "how-to" / "tasks-that-matter.md").read_text(), re.DOTALL
    )
    url = site.url.replace("postgresql:", "postgresql+psycopg:", 1)
    engine = sqlalchemy.create_engine(url)
    Base.metadata.create_all(engine)
    names: dict[str, Any] = {
        "site": site.home, "engine": engine, "Session": Session, "Payment": Payment,
        "Context": Context, "__name__": "page",
    }  # fmt: skip
    exec(example, names)
    task = names["settle"]
    handle = task.enqueue(7)

    async def begun() -> Any:
        ledger = await site.home.ledger()
        (answer,) = await ledger.start([Start(message_id=handle.id, token=TOKEN)])
        return answer.record

    record = site.home.wait(begun)
    (finish,) = run(task, Job((record,), ((),)), site.home.codec, context_of(record, None))

    assert finish.ending is Ending.COMPLETED, finish.error
    assert handle.result() == "paid"
    with Session(engine) as session:
        assert session.get(Payment, 7) is not None
    engine.dispose()


async def use(url: str) -> None:
    """Do one of everything that a runner does."""
    now_s = int(SystemClock().unix_s())
    async with engine_on(url) as engine:
        ledger = await PostgresLedger.opened(engine)
        first = Spec(id=f"first-{now_s}", name="n", queue="q", key="k", unique_key="u")
        then = Spec(id=f"then-{now_s}", name="n", queue="q", after=(first.id,))
        await ledger.enqueue([first, then])
        for task in (first.id, then.id):
            (started,) = await ledger.start([Start(message_id=task, token=TOKEN)])
            assert started.record is not None
            assert (await ledger.touch({task: TOKEN})).lost == ()
            await ledger.once(task, "mail", done=True)
            await ledger.finish([Finish(id=task, token=TOKEN, ending=Ending.COMPLETED)])
        await ledger.schedule([], "app")
        await ledger.register(["n"])
        await ledger.due()
        assert len(await ledger.records()) == 2
        assert await ledger.discard([first.id, then.id]) == 2


@pytest.fixture
def granted(database: Callable[[], str]) -> Callable[[str], str]:
    """Grants a role what the page lists for it; returns its address."""
    url, page = database(), (DOCS / "reference" / "postgresql.md").read_text()
    asyncio.run(use(url))

    def granted(role: str) -> str:
        grants = re.findall(rf"^GRANT .* TO {role};", page, re.MULTILINE)
        assert grants
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute(f"CREATE ROLE {role} LOGIN".encode())
            for grant in grants:
                owner.execute(grant.encode())
        return url.replace("postgres@", f"{role}@", 1)

    return granted


def test_the_rights_of_a_role_of_the_bus_are_enough_for_the_ledger(
    granted: Callable[[str], str],
) -> None:
    asyncio.run(use(granted("site_bus")))


def test_an_app_can_record_and_complete_tasks_and_read_none(granted: Callable[[str], str]) -> None:
    url = granted("shop")
    put = inbox_put(Spec(id="t", name="n", queue="q"), "shop/0")
    parameters = {
        "attributes": json.dumps(to_attributes(put.message)),
        "data": put.message.data,
    }
    run_of = {"task": "t", "token": TOKEN, "result": b"", "content_type": ""}
    with psycopg.connect(url) as app:
        told = app.execute(marked(DIRECT_TASK, "%({})s", parameters).encode(), parameters)
        assert told.fetchone() == ("t",)
        refused = app.execute(marked(COMPLETE, "%({})s", run_of).encode(), run_of)
        assert refused.fetchone() == (False,)  # it does not run
        app.commit()
        for sql in ("SELECT 1 FROM mergepoint.task", "SELECT mergepoint.hold_tasks('{t}', true)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(sql.encode())
            app.rollback()
