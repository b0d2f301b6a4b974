"""A Celery application as a member of a site: its workers, its queue on the bus, its events.

Place:  host.start_tasks, in the app's environment -> [neighbours.celery] -> celery, the site's bus
Rule:   Celery's own worker, options and broker; what is added stands beside it in two threads.

Any app enqueues with `site.bus.queue("celery.APP").put({"task": "mail.send", "args": ["alice"]})`;
the message's id becomes Celery's task id. What becomes of tasks is published to `celery.APP.STATE`
(`received`, `started`, `succeeded`, `failed`, `retried`, `revoked`), whoever asked for them.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import Any

import celery
from celery import signals

import mergepoint
from mergepoint.bus.errors import BusClosed

VARIABLE = "MERGEPOINT_CELERY"
READY_VARIABLE = "MERGEPOINT_READY_FD"
WAIT_S = 1.0
"""How long one look at the queue waits; what a stop waits for."""
PAUSE_S = 1.0
"""After the broker or the bus was away, before the next try."""
PUBLISHED = ("uuid", "name", "runtime", "result", "exception", "retries", "hostname", "timestamp")

log = logging.getLogger("mergepoint.celery")


@dataclass(frozen=True)
class Member:
    """What the manifest says of one Celery application."""

    app: str
    target: str
    concurrency: int = 2
    drain_s: float = 30.0


def main() -> int:
    """Run a worker until TERM, which lets it finish what it has begun; return its exit code."""
    told = json.loads(os.environ[VARIABLE])
    names = Member.__dataclass_fields__
    member = Member(**{name: told[name] for name in names if name in told})
    application = load(member.target)
    _say_ready_later(os.environ.pop(READY_VARIABLE, ""))
    stopping = threading.Event()
    signals.worker_shutting_down.connect(lambda **_: stopping.set(), weak=False)
    for work in (carry, watch):
        threading.Thread(
            target=work, args=(application, member, stopping), daemon=True, name=work.__name__
        ).start()
    slot = os.environ.get("MERGEPOINT_SLOT", "0")
    try:
        application.worker_main(
            ["worker", "--hostname", f"{member.app}-{slot}@%h", "--task-events",
             "--concurrency", str(member.concurrency), "--loglevel", "WARNING"]
        )  # fmt: skip
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def load(target: str) -> celery.Celery:
    """Return the application that `module:attribute` names."""
    module, _, attribute = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in (attribute or "app").split("."):
        found = getattr(found, part)
    return found


def carry(application: celery.Celery, member: Member, stopping: threading.Event) -> None:
    """Hand what waits in the site's queue to Celery, which then has it: ack follows send."""
    queue = mergepoint.connect().bus.queue(f"celery.{member.app}")
    while not stopping.is_set():
        try:
            with queue.get(wait_s=WAIT_S) as job:
                if job:
                    _send(application, job.id, job.value)
        except BusClosed:
            return
        except Exception as error:  # any broker's own, and what a message may hold
            log.warning("not handed to Celery: %s: %s", type(error).__name__, error)
            time.sleep(PAUSE_S)


def _send(application: celery.Celery, identifier: str, asked: Any) -> None:
    if not isinstance(asked, dict) or not isinstance(asked.get("task"), str):
        raise TypeError('a job for Celery is {"task": name, "args": [...], "kwargs": {...}}')
    application.send_task(
        asked["task"], args=asked.get("args", ()), kwargs=asked.get("kwargs", {}),
        task_id=identifier, **asked.get("options", {}),
    )  # fmt: skip


def watch(application: celery.Celery, member: Member, stopping: threading.Event) -> None:
    """Publish Celery's own task events; one worker of the application does it for all."""
    if os.environ.get("MERGEPOINT_SLOT", "0") != "0":
        return
    state = application.events.State()
    bus = mergepoint.connect().bus

    def publish(event: dict[str, Any]) -> None:
        kind = event["type"].removeprefix("task-")
        if kind == event["type"]:
            return  # of a worker, not of a task
        state.event(event)
        task = state.tasks.get(event["uuid"])
        told = {name: event[name] for name in PUBLISHED if name in event}
        if task is not None and task.name:
            told["name"] = task.name
        bus.publish(f"celery.{member.app}.{kind}", told)

    while not stopping.is_set():
        try:
            with application.connection_for_read() as connection:
                receiver = application.events.Receiver(connection, handlers={"*": publish})
                receiver.capture(limit=None, timeout=None, wakeup=True)
        except BusClosed:
            return
        except Exception as error:  # any broker's own
            log.warning("Celery's events are not seen: %s: %s", type(error).__name__, error)
            time.sleep(PAUSE_S)


def _say_ready_later(descriptor: str) -> None:
    if not descriptor.isdigit():
        return

    def say(**_: Any) -> None:
        os.write(int(descriptor), b"READY\n")
        os.close(int(descriptor))

    signals.worker_ready.connect(say, weak=False)
