"""`mergepoint tasks`: what was asked for, how far it is, and what became of it.

Place:  cli.main -> [cli.commands.tasks] -> cli.bus_reach
Rule:   speaks with the ledger; what it releases is queued before the command ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mergepoint.cli.invocation import common_options, json_option

if TYPE_CHECKING:
    from mergepoint.assembly.reach import Reach
    from mergepoint.tasks.announcing import Announcement
    from mergepoint.tasks.contract import TaskRecord

STATES = (
    "pending", "scheduled", "held", "queued", "running", "retryable", "parked", "completed",
    "cancelled", "dead",
)  # fmt: skip


@click.group()
@common_options
def command() -> None:
    """Look at tasks, run them, try them again, end them."""


@command.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), metavar="STATE",
              help="Only these; again for more: " + ", ".join(STATES) + ".")  # fmt: skip
@click.option("--name", default="", help="Only this task.")
@click.option("--queue", default="", help="Only this queue.")
@click.option("--group", default="", help="Only this group.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True,
              help="How many.")  # fmt: skip
@click.option("--after", default="", metavar="ID", help="Go on behind this task.")
@json_option
@common_options
def list_(
    states: tuple[str, ...], name: str, queue: str, group: str, limit: int, after: str
) -> None:
    """List tasks, oldest first, and how many each queue has in which state."""
    from mergepoint.cli.bus_reach import with_bus
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.message_view import task_json, task_row
    from mergepoint.cli.output import document, say, show_table
    from mergepoint.tasks.states import TaskState

    async def work(reach: Reach) -> tuple[list[TaskRecord], float]:
        records = await reach.ledger.records(
            queue=queue, name=name, group=group, states=[TaskState(state) for state in states],
            limit=limit, after=after,
        )  # fmt: skip
        return records, reach.clock.unix_s()

    records, now_s = with_bus(work)
    if invocation().as_json:
        document({"tasks": [task_json(record) for record in records]})
        return
    if not records:
        say("No task like that is recorded.")
        return
    show_table(
        ("TASK", "NAME", "STATE", "ATTEMPT", "SINCE", "WHAT"),
        (task_row(record, now_s) for record in records),
    )
    if len(records) == limit:
        say(f"next: mergepoint tasks list --after {records[-1].id}")


@command.command()
@click.argument("id")
@json_option
@common_options
def show(id: str) -> None:  # noqa: A002 - what people call it
    """Show everything that is known of one task."""
    from mergepoint.cli.bus_reach import with_bus
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.message_view import task_json
    from mergepoint.cli.output import document, say
    from mergepoint.cli.task_view import lines_of, next_of

    record = with_bus(lambda reach: _known(reach, id))
    if invocation().as_json:
        document(task_json(record))
        return
    from mergepoint.cli.output import data

    for line in lines_of(record):
        data(line)
    if following := next_of(record):
        say(f"next: {following}")


@command.command()
@click.argument("ids", nargs=-1, required=True)
@json_option
@common_options
def retry(ids: tuple[str, ...]) -> None:
    """Run dead or cancelled tasks anew, with fresh attempts."""
    from mergepoint.cli.bus_reach import with_bus
    from mergepoint.cli.counting import counting

    async def work(reach: Reach) -> int:
        with counting("trying again", len(ids)) as step:
            for identifier in ids:
                await reach.release(await reach.ledger.replay(identifier))
                step(1)
        return len(ids)

    _told("retried", with_bus(work))


@command.command()
@click.argument("ids", nargs=-1, required=True)
@click.option("--reason", default="by an operator", help="Told to whoever looks.")
@json_option
@common_options
def cancel(ids: tuple[str, ...], reason: str) -> None:
    """End tasks: at once while they wait, by telling their handler while they run."""
    from mergepoint.cli.bus_reach import with_bus
    from mergepoint.cli.counting import counting

    async def work(reach: Reach) -> int:
        with counting("ending", len(ids)) as step:
            for identifier in ids:
                made = await reach.ledger.cancel(identifier, reason)
                await reach.release(made.releases)
                step(1)
        return len(ids)

    _told("cancelled", with_bus(work))


@command.command()
@click.argument("name")
@click.argument("arguments", default="{}")
@click.option(
    "--queue", default="", help="Its queue.  [default: where it ran last, else its app's]"
)
@click.option("--key", default="", help="One at a time of this key.")
@click.option("--delay-s", type=click.FloatRange(min=0), default=0.0, help="Not before.")
@click.option("--wait-s", type=click.FloatRange(min=0), default=0.0,
              help="Wait so long for its end and print the result.")  # fmt: skip
@json_option
@common_options
def run(name: str, arguments: str, queue: str, key: str, delay_s: float, wait_s: float) -> None:
    """Ask for the task NAME; ARGUMENTS are a JSON object of names, or a JSON list.

    With --wait-s exit 1 when it was not completed in that time.
    """
    from mergepoint.cli.bus_reach import with_bus
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.message_view import data_text, task_json
    from mergepoint.cli.output import data, document, say
    from mergepoint.cli.task_view import arguments_of

    args, kwargs = arguments_of(arguments)
    app = _app_of(name)

    async def work(reach: Reach) -> Any:
        placed = await reach.run_task(
            name, args, kwargs, queue=queue, app=app, key=key, delay_s=delay_s
        )
        return placed, await reach.ended(placed, wait_s) if wait_s else await _known(reach, placed)

    identifier, record = with_bus(work)
    if invocation().as_json:
        document(task_json(record))
    elif not wait_s:
        say(f"{name}: {identifier}")
        say(f"next: mergepoint tasks show {identifier}")
    elif record.state == "completed":
        data(data_text(record.result, record.result_type, 0) or "null")
    else:
        say(f"{name} {identifier} is {record.state}: {record.error}".rstrip(": "))
    if wait_s and record.state != "completed":
        click.get_current_context().exit(1)


@command.command()
@json_option
@common_options
def schedule() -> None:
    """List which tasks the clock starts, of the manifest and of the code, and when next.

    What is declared in the code is known from task workers that have started. A schedule that means
    nothing is listed as failed, with the reason; it stops no other.
    """
    from mergepoint.cli.bus_reach import BusAway, site_with_bus, with_bus
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say, show_table
    from mergepoint.cli.schedule_view import cells, document_of, rows_of
    from mergepoint.core.clock import SystemClock

    site, now_s = site_with_bus(), SystemClock().unix_s()
    apps = [app.name for app in site.apps.values() if app.tasks is not None]

    async def work(reach: Reach) -> dict[str, Announcement | None]:
        return {app: await reach.announced(app) for app in apps}

    try:
        told = with_bus(work)
    except BusAway as away:
        told = {}
        say(f"{away.message}; so these are the schedules of the manifest alone")
    rows = list(rows_of(site.schedules, told))
    if invocation().as_json:
        document({"schedules": [document_of(row, now_s) for row in rows]})
        return
    if not rows:
        say("Nothing is started by the clock. next: add [[schedules]] to the manifest")
        return
    show_table(
        ("TASK", "APP", "WHEN", "TIME ZONE", "MISSED", "NEXT", "WRITTEN", "STATE"),
        (cells(row, now_s) for row in rows),
    )


def _app_of(name: str) -> str:
    """Return the app that a task belongs to by its name; empty when several may be meant."""
    from mergepoint.cli.bus_reach import site_with_bus
    from mergepoint.manifest.resolve_bus import app_of_task

    apps = site_with_bus().apps.values()
    return app_of_task(name, {one.name: one.tasks.module for one in apps if one.tasks is not None})


async def _known(reach: Reach, identifier: str) -> TaskRecord:
    from mergepoint.tasks.errors import NoSuchTask

    record = await reach.ledger.record(identifier)
    if record is None:
        raise NoSuchTask(f"no task {identifier} is recorded", next="mergepoint tasks list")
    return record


def _told(what: str, count: int) -> None:
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import count as counted
    from mergepoint.cli.output import document, say

    if invocation().as_json:
        document({what: count})
    else:
        say(f"{counted(count, 'task')} {what}")
