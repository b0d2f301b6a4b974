"""`mergepoint deadletters`: what nobody could handle, to be looked at, mended, replayed or dropped.

Place:  cli.main -> [cli.commands.deadletters] -> cli.bus_reach
Rule:   nothing is dropped without being asked for twice; a replay begins with fresh attempts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mergepoint.cli.invocation import common_options, json_option

if TYPE_CHECKING:
    from mergepoint.assembly.reach import Reach
    from mergepoint.bus.contract import Entry


@click.group()
@common_options
def command() -> None:
    """Look at messages that nobody could handle, and replay them."""


@command.command("list")
@click.argument("queue", default="")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True,
              help="How many of each queue.")  # fmt: skip
@click.option("--after", default="", metavar="ID", help="Go on behind this message.")
@json_option
@common_options
def list_(queue: str, limit: int, after: str) -> None:
    """List dead letters of QUEUE, or of all queues."""
    from mergepoint.cli.bus_reach import with_bus
    from mergepoint.cli.dead_letters import by_queue
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.message_view import ago, entry_json
    from mergepoint.cli.output import document, say, show_table

    async def work(reach: Reach) -> tuple[list[Entry], float]:
        return await by_queue(reach, queue, limit, after), reach.clock.unix_s()

    entries, now_s = with_bus(work)
    if invocation().as_json:
        document({"entries": [entry_json(entry) for entry in entries]})
        return
    if not entries:
        say("There are no dead letters" + (f" in {queue}." if queue else "."))
        return
    show_table(
        ("QUEUE", "MESSAGE", "ATTEMPTS", "DEAD FOR", "WHY"),
        ((e.queue, e.message.id, str(e.attempt), ago(e.at, now_s), e.reason) for e in entries),
    )
    say(f"next: mergepoint deadletters show {entries[0].queue} {entries[0].message.id}")


@command.command()
@click.argument("queue")
@click.argument("id")
@json_option
@common_options
def show(queue: str, id: str) -> None:  # noqa: A002 - what people call it
    """Show everything about one dead letter."""
    from mergepoint.cli.bus_reach import with_bus
    from mergepoint.cli.dead_letters import find
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.message_view import data_text, entry_json, time_text
    from mergepoint.cli.output import data, document, paint, say
    from mergepoint.wire.envelope import to_attributes

    entry = with_bus(lambda reach: find(reach, queue, id))
    if invocation().as_json:
        document(entry_json(entry))
        return
    for name, text in (
        ("queue", entry.queue),
        ("why", entry.reason),
        ("attempts", str(entry.attempt)),
        ("dead since", time_text(entry.at)),
        *to_attributes(entry.message).items(),
    ):
        data(f"{paint(f'{name:<16}', 'dim')} {text}")
    data(data_text(entry.message.data, entry.message.datacontenttype, 0))
    say(f"next: mergepoint deadletters replay {queue} {id}")


@command.command()
@click.argument("queue")
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of the queue.")
@json_option
@common_options
def replay(queue: str, ids: tuple[str, ...], everything: bool) -> None:
    """Put dead letters back into QUEUE, with fresh attempts."""
    from mergepoint.cli.bus_reach import with_bus
    from mergepoint.cli.dead_letters import chosen, replay_all

    _one_or_all(ids, everything)

    async def work(reach: Reach) -> int:
        return await replay_all(reach, queue, await chosen(reach, queue, ids))

    _told("replayed", queue, with_bus(work))


@command.command()
@click.argument("queue")
@click.argument("id")
@click.argument("data", default="")
@json_option
@common_options
def edit(queue: str, id: str, data: str) -> None:  # noqa: A002 - what people call it
    """Replay one dead letter with other DATA (- for stdin); without it your editor opens."""
    from dataclasses import replace

    from mergepoint.cli.bus_reach import data_given, with_bus
    from mergepoint.cli.dead_letters import edited, find

    entry = with_bus(lambda reach: find(reach, queue, id))
    given = data_given(data, stdin=data == "-") if data else edited(entry.message)
    if given == entry.message.data:
        raise click.UsageError("nothing was changed; replay it as it is with deadletters replay")

    async def work(reach: Reach) -> int:
        await reach.engine.replay(queue, id, replace(entry.message, data=given))
        return 1

    _told("replayed", queue, with_bus(work))


@command.command()
@click.argument("queue")
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of the queue.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@common_options
def discard(queue: str, ids: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Remove dead letters of QUEUE for good."""
    from mergepoint.cli.bus_reach import ask_first, with_bus
    from mergepoint.cli.dead_letters import chosen, discard_all

    _one_or_all(ids, everything)
    what = "all dead letters" if everything else f"{len(ids)} dead letters"
    ask_first(f"Remove {what} of {queue} for good?", yes=yes)

    async def work(reach: Reach) -> int:
        return await discard_all(reach, queue, await chosen(reach, queue, ids))

    _told("removed", queue, with_bus(work))


def _one_or_all(ids: tuple[str, ...], everything: bool) -> None:
    if bool(ids) == everything:
        raise click.UsageError("name messages, or say --all")


def _told(what: str, queue: str, count: int) -> None:
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import count as counted
    from mergepoint.cli.output import document, say

    if invocation().as_json:
        answer: dict[str, Any] = {"queue": queue, what: count}
        document(answer)
    else:
        say(f"{queue}: {counted(count, 'message')} {what}")
