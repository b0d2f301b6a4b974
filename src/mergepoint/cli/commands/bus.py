"""`mergepoint bus`: look at topics and queues, publish, listen, and back up.

Place:  cli.main -> [cli.commands.bus] -> cli.bus_reach
Rule:   looking takes nothing: what waits in a queue waits there afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mergepoint.cli.invocation import common_options, json_option

if TYPE_CHECKING:
    from mergepoint.assembly.reach import Reach
    from mergepoint.bus.contract import Gap, TopicStats
    from mergepoint.wire.envelope import Message

STATES = ("ready", "delayed", "leased", "dead")


@click.group()
@common_options
def command() -> None:
    """Look at topics and queues, publish and listen."""


@command.command()
@json_option
@common_options
def engines() -> None:
    """List what can carry the messages of a site, and what each engine can do."""
    from mergepoint.cli.bus_engines import engines_told, show_engines
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document

    told = engines_told()
    if invocation().as_json:
        document({"engines": told})
    else:
        show_engines(told)


@command.command()
@json_option
@common_options
def topics() -> None:
    """List the topics that are known, with who listens."""
    from mergepoint.cli.bus_reach import with_bus
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say, show_table

    async def work(reach: Reach) -> Any:
        return await reach.engine.topics()

    found = with_bus(work)
    if invocation().as_json:
        rows = [
            {"name": t.name, "published": t.published, "subscribers": t.subscribers, "last": t.last}
            for t in found
        ]
        document({"topics": rows})
        return
    if not found:
        say("Nothing was published yet. next: mergepoint bus publish TOPIC '{}'")
        return
    show_table(
        ("TOPIC", "PUBLISHED", "LISTENERS", "KEEPS LAST"),
        (_topic_row(topic) for topic in found),
    )


def _topic_row(topic: TopicStats) -> tuple[str, ...]:
    kept = "yes" if topic.last else ""
    return (topic.name, _count(topic.published), _count(topic.subscribers), kept)


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)


@command.command()
@json_option
@common_options
def queues() -> None:
    """List the queues and how many messages wait in each."""
    from mergepoint.cli.bus_reach import with_bus
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.message_view import queue_json, queue_row
    from mergepoint.cli.output import document, say, show_table

    async def work(reach: Reach) -> Any:
        return await reach.engine.queues()

    found = with_bus(work)
    if invocation().as_json:
        document({"queues": [queue_json(stats) for stats in found]})
        return
    if not found:
        say("The engine knows of no queue; RabbitMQ's own tools list what it has.")
        return
    head = ("QUEUE", "READY", "DELAYED", "TAKEN", "DEAD", "OLDEST", "BYTES")
    show_table(head, (queue_row(stats) for stats in found))
    if any(stats.dead for stats in found):
        say("next: mergepoint deadletters list")


@command.command()
@click.argument("queue")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES),
              help="Only these; again for more.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True,
              help="How many.")  # fmt: skip
@click.option("--after", default="", metavar="ID", help="Go on behind this message.")
@json_option
@common_options
def peek(queue: str, states: tuple[str, ...], limit: int, after: str) -> None:
    """Show what is in QUEUE without taking it."""
    from mergepoint.bus.capabilities import demand
    from mergepoint.bus.contract import EntryState
    from mergepoint.cli.bus_reach import with_bus
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.message_view import entry_json, entry_row
    from mergepoint.cli.output import document, say, show_table

    async def work(reach: Reach) -> Any:
        demand(reach.engine.capabilities, "browse")
        chosen = [EntryState(state) for state in states or STATES]
        entries = await reach.engine.browse(queue, states=chosen, limit=limit, after=after)
        return entries, reach.clock.unix_s()

    entries, now_s = with_bus(work)
    if invocation().as_json:
        document({"queue": queue, "entries": [entry_json(entry) for entry in entries]})
        return
    if not entries:
        say(f"Nothing is in {queue}. next: mergepoint bus queues")
        return
    show_table(
        ("MESSAGE", "STATE", "ATTEMPT", "SINCE", "WHAT"),
        (entry_row(entry, now_s) for entry in entries),
    )
    if len(entries) == limit:
        say(f"next: mergepoint bus peek {queue} --after {entries[-1].message.id}")


@command.command()
@click.argument("name")
@click.argument("data", default="null")
@click.option("--queue", is_flag=True, help="NAME is a queue, not a topic.")
@click.option("--type", "content_type", default="application/json", show_default=True,
              metavar="TYPE", help="What DATA is.")  # fmt: skip
@click.option("--keep-last", is_flag=True, help="Make it the topic's present value.")
@click.option(
    "--delay-s", type=click.FloatRange(min=0), default=0.0, help="Of a queue: not before."
)
@click.option("--key", default="", help="Of a queue: one at a time of this key.")
@click.option("--priority", type=click.IntRange(0, 9), default=4, show_default=True,
              help="Of a queue: higher first.")  # fmt: skip
@json_option
@common_options
def publish(
    name: str, data: str, queue: bool, content_type: str, keep_last: bool, delay_s: float,
    key: str, priority: int,
) -> None:  # fmt: skip
    """Publish DATA (JSON, or - for stdin) to the topic NAME, or put it into a queue."""
    from mergepoint.bus.contract import Put
    from mergepoint.cli.bus_reach import data_given, with_bus
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say
    from mergepoint.wire.names import NameInvalid, check_name

    try:
        check_name(name, "queue" if queue else "topic")
    except NameInvalid as error:
        raise click.UsageError(str(error)) from None
    given = data_given(data, stdin=data == "-")
    if content_type == "application/json":
        _check_json(given)

    async def work(reach: Reach) -> Any:
        message = reach.message(name, given, content_type)
        if not queue:
            await reach.engine.publish(name, message, keep_last=keep_last)
            return message.id
        put = Put(
            message=message, priority=priority, key=key,
            not_before=reach.clock.unix_s() + delay_s if delay_s else 0.0,
        )  # fmt: skip
        return (await reach.engine.put(name, [put]))[0].id

    identifier = with_bus(work)
    if invocation().as_json:
        document({"id": identifier, "queue" if queue else "topic": name})
    else:
        say(f"{'put into' if queue else 'published to'} {name}: {identifier}")


def _check_json(given: bytes) -> None:
    import json

    try:
        json.loads(given)
    except ValueError as error:
        hint = "quote texts for JSON and for the shell ('\"text\"'), or say --type text/plain"
        raise click.UsageError(f"DATA is no JSON: {error}; {hint}") from None


@command.command()
@click.argument("pattern", default=">")
@click.option("--count", type=click.IntRange(min=1), help="End after so many messages.")
@json_option
@common_options
def tail(pattern: str, count: int | None) -> None:
    """Print messages of PATTERN (all topics without one) as they are published, until Ctrl-C."""
    from mergepoint.cli.bus_reach import with_bus
    from mergepoint.cli.output import say
    from mergepoint.wire.names import NameInvalid, check_pattern

    try:
        check_pattern(pattern)
    except NameInvalid as error:
        raise click.UsageError(str(error)) from None

    async def work(reach: Reach) -> None:
        subscription = await reach.engine.subscribe(pattern)
        say(f"listening to {pattern}; Ctrl-C ends it")
        seen = 0
        async for item in subscription:
            _show_live(item)
            seen += 1
            if count is not None and seen >= count:
                break
        await subscription.close()

    with_bus(work)


def _show_live(item: Message | Gap) -> None:
    import json

    from mergepoint.bus.contract import Gap
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.message_view import data_text, message_json
    from mergepoint.cli.output import SCHEMA, data, paint

    if isinstance(item, Gap):
        told: dict[str, Any] = {"gap": item.lost}
        text = paint(f"{item.lost or 'some'} messages are missing here", "warn")
    else:
        told = {"message": message_json(item)}
        text = f"{paint(item.type, 'bold')}  {data_text(item.data, item.datacontenttype, 0)}"
    data(json.dumps({"schema": SCHEMA, **told}) if invocation().as_json else text)


@command.command()
@click.argument("name", default="")
@json_option
@common_options
def backup(name: str) -> None:
    """Copy the hub's file while it goes on working, to backups/NAME in the state directory.

    Everything that was accepted before is in the copy: queues, dead letters, tasks and their
    results. To restore it, stop the site and put the copy in the place of bus.db.
    """
    from mergepoint.cli.bus_reach import with_bus
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import data, document, say, size

    async def work(reach: Reach) -> Any:
        return await reach.backup(name or f"bus-{reach.clock.unix_s():.0f}.db")

    made = with_bus(work)
    if invocation().as_json:
        document(made)
    else:
        data(str(made["path"]))
        say(size(float(made["bytes"])))
