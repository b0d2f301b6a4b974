"""An app with orders, and a relay: processes that a test kills. Not a test itself.

Reads commands from its standard input, one JSON object a line, and forks for each:

    {"do": "shop", "url": ..., "crash_at": ...}    -> the child's process id
    {"do": "relay", "url": ..., "bus": ..., "crash_at": ...}
    {"do": "wait", "pid": ...}                     -> its exit code, negative for a signal

A forked process has everything imported, so that a kill costs milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import uuid

from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from mergepoint.assembly.connect import Document, Site
from mergepoint.bus.adapters.postgres import PostgresEngine
from mergepoint.bus.contract import Limits
from mergepoint.core.clock import SystemClock
from mergepoint.tasks import outbox
from mergepoint.tasks.outbox.crash import crash_points
from mergepoint.tasks.outbox.relay import RelaySettings, run_relay

KILLED = 137


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[str] = mapped_column(primary_key=True)


def send_receipt(site: Site, order: str) -> None:
    """Put a job, and tell everybody; the bus is nowhere, so only the outbox can take them."""
    site.bus.queue("receipts").put({"order": order}, id=order)
    site.bus.publish("orders.taken", {"order": order}, id=order)


def shop(url: str, crash_at: str) -> None:
    """Take orders until killed."""
    passing = crash_points(crash_at)
    engine = create_engine(url)
    outbox.watch(engine)
    site = Site(Document(url="hub+unix:///nowhere/hub.sock", address="shop/0"), SystemClock())
    chance = random.Random(os.getpid())
    while True:
        order = uuid.uuid4().hex
        try:
            with Session(engine) as session, session.begin():
                passing("shop.before_insert")
                session.add(Order(id=order))
                send_receipt(site, order)
                passing("shop.after_insert")
                if chance.random() < 0.2:
                    raise ValueError("no stock")
                passing("shop.before_commit")
            passing("shop.after_commit")
        except ValueError:
            continue


def relay(url: str, bus: str, crash_at: str) -> None:
    """Relay until killed."""

    async def work() -> None:
        clock = SystemClock()
        engine = PostgresEngine(bus, Limits(heartbeat_s=1.0), clock, address="hub")
        await engine.open(lambda *_: None)
        await engine.bind("heard", "orders.taken")
        settings = RelaySettings(
            databases=(url,), pause_s=0.02, poll_s_max=0.02, batch_max=20, crash_at=crash_at
        )
        await run_relay(settings, engine, clock)

    asyncio.run(work())


def main() -> None:
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "wait":
            _, status = os.waitpid(command["pid"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        try:
            if command["do"] == "shop":
                shop(command["url"], command["crash_at"])
            else:
                relay(command["url"], command["bus"], command["crash_at"])
        finally:
            os._exit(1)


if __name__ == "__main__":
    main()
