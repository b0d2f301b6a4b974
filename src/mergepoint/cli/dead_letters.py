"""Find dead letters, put them back, and show how far that is.

Place:  cli.commands.deadletters -> [cli.dead_letters] -> the engine
Rule:   by pages, so that a hundred thousand cost no memory; stopped in the middle, the rest stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mergepoint.bus.capabilities import demand
from mergepoint.bus.errors import NoSuchEntry
from mergepoint.cli.counting import counting

if TYPE_CHECKING:
    from mergepoint.assembly.reach import Reach
    from mergepoint.bus.contract import Entry
    from mergepoint.wire.envelope import Message

PAGE = 100
PAGES_MAX = 10_000


async def by_queue(reach: Reach, queue: str, limit: int, after: str) -> list[Entry]:
    """Return dead letters of one queue, or of every queue that may have some."""
    demand(reach.engine.capabilities, "dead_letters")
    names = [queue] if queue else await _may_have_some(reach)
    found: list[Entry] = []
    for name in names:
        found += await reach.engine.dead(name, limit=limit, after=after)
    return found


async def _may_have_some(reach: Reach) -> list[str]:
    listed = {stats.name: stats.dead for stats in await reach.engine.queues()}
    unlisted = [name for name in reach.subscriptions if name not in listed]
    return sorted([*unlisted, *(name for name, dead in listed.items() if dead != 0)])


async def find(reach: Reach, queue: str, id: str) -> Entry:  # noqa: A002 - what people call it
    """Return one dead letter; raise `NoSuchEntry`."""
    demand(reach.engine.capabilities, "dead_letters")
    after = ""
    for _ in range(PAGES_MAX):
        page = await reach.engine.dead(queue, limit=PAGE, after=after)
        for entry in page:
            if entry.message.id == id:
                return entry
        if len(page) < PAGE:
            break
        after = page[-1].message.id
    raise NoSuchEntry(
        f"no dead letter {id} in {queue}", next=f"mergepoint deadletters list {queue}"
    )


async def chosen(reach: Reach, queue: str, ids: Sequence[str]) -> list[str]:
    """Return the ids that were named, or all there are now."""
    demand(reach.engine.capabilities, "dead_letters")
    if ids:
        return list(ids)
    found: list[str] = []
    for _ in range(PAGES_MAX):
        page = await reach.engine.dead(queue, limit=PAGE, after=found[-1] if found else "")
        found += [entry.message.id for entry in page]
        if len(page) < PAGE:
            break
    return found


async def replay_all(reach: Reach, queue: str, ids: Sequence[str]) -> int:
    """Put these back and return how many; raise `NoSuchEntry` for one that is not there."""
    with counting(f"replaying {queue}", len(ids)) as step:
        for identifier in ids:
            await reach.engine.replay(queue, identifier)
            step(1)
    return len(ids)


async def discard_all(reach: Reach, queue: str, ids: Sequence[str]) -> int:
    """Remove these and return how many there were."""
    removed = 0
    with counting(f"removing from {queue}", len(ids)) as step:
        for at in range(0, len(ids), PAGE):
            removed += await reach.engine.discard(queue, ids[at : at + PAGE])
            step(len(ids[at : at + PAGE]))
    return removed


def edited(message: Message) -> bytes:
    """Return what a person made of the data in their editor; raise `click.UsageError`."""
    import click

    try:
        text = message.data.decode()
    except UnicodeDecodeError:
        raise click.UsageError("the data is no text; give the new DATA, or - for stdin") from None
    found = click.edit(text, extension=".json" if "json" in message.datacontenttype else ".txt")
    if found is None:
        raise click.UsageError("nothing was saved")
    return found.rstrip("\n").encode() if not text.endswith("\n") else found.encode()
