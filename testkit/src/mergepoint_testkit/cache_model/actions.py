"""Everything that can happen in a schedule, one function each.

Place:  cache_model.explore -> [cache_model.actions] -> cache_model.world
Rule:   an action that cannot happen now is nothing, so that a schedule can lose any of its steps.

Each takes a number that makes its choices: who, which, how many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from mergepoint_testkit.cache_model.edge import Edge
from mergepoint_testkit.cache_model.fills import PAGES, Request
from mergepoint_testkit.cache_model.world import CLIENTS, World, Write

One = TypeVar("One")
Action = Callable[[World, int], None]
ROWS = (("x1",), ("x2",), ("y1",), ("x1", "y1"), ("x1", "x2"))
MODES = ("strict", "strict", "strict", "session", "none")
PATHS = (*PAGES, *PAGES, "/one", "/list", "/both", "/list")
WRITE_SIZES = (CLIENTS, 3, len(ROWS), len(MODES), 6)
"""Who, through which edge or past them, which rows, how it is held, whether of whole tables (0)."""
READ_SIZES = (CLIENTS, 2, len(PATHS), 6, 14)
"""Who, at which edge, which page, whether linear (0), whether from the replica (0)."""
QUESTIONS_MAX = 3
"""An edge that has so many questions in the air does not poll."""


def _one(among: Sequence[One], x: int) -> One | None:
    return among[x % len(among)] if among else None


def _split(x: int, *sizes: int) -> list[int]:
    out = []
    for size in sizes:
        x, part = divmod(x, size)
        out.append(part)
    return out


def write(world: World, x: int) -> None:
    """A client begins to write, through an edge or past them all."""
    client, edge, rows, mode, whole = _split(x, *WRITE_SIZES)
    transaction = world.database.begin(ROWS[rows], whole == 0)
    if transaction is None:
        return
    through = "past the edges"
    number = world.number()
    if edge < len(world.edges):
        one = Write(number, client, world.edges[edge], MODES[mode], transaction)
        world.writes.append(one)
        through = f"through edge {one.edge.name}"
    world.say(f"write {number} of client {client} begins {through}: {', '.join(transaction.keys)}")


def end_transaction(world: World, x: int) -> None:
    """A transaction goes one step on: durable, then visible; one in ten is rolled back."""
    which, back = _split(x, 64, 10)
    transaction = _one(world.database.open, which)
    if transaction is None:
        return
    if transaction.state == "durable":
        world.database.show(transaction, world.now)
        told = ", ".join(f"{key} = {stamp}" for key, stamp in transaction.stamps.items())
        world.say(f"transaction {transaction.id} is visible: {told}")
    elif back == 0:
        world.database.roll_back(transaction)
        world.say(f"transaction {transaction.id} is rolled back")
    else:
        world.database.commit(transaction)
        world.say(f"transaction {transaction.id} is durable")


def answer_write(world: World, x: int) -> None:
    """The app's answer to a write that is visible arrives at the edge."""
    held = {hold.write for edge in world.edges for hold in edge.holds}
    ready = [one for one in world.writes if one.number not in held]
    one = _one(ready, x)
    if one is None or one.transaction.state in ("open", "durable"):
        return
    world.writes.remove(one)
    if one.transaction.state == "visible":
        world.hold(one)


def read(world: World, x: int) -> None:
    """A client asks for a page."""
    client, edge, page, linear, replica = _split(x, *READ_SIZES)
    floors = world.promises.begin(client, linear=linear == 0)
    one = world.edges[edge]
    request = Request(world.number(), client, one, PATHS[page], linear == 0, floors, replica == 0)
    mode = " (linear)" if request.linear else ""
    world.say(f"request {request.number} of client {client}: {request.page} at {one.name}{mode}")
    world.fills.read(request)


def fly(world: World, x: int) -> None:
    """The app goes on with a page."""
    flight = _one(world.fills.flights, x)
    if flight:
        world.fills.step(flight)


def give_up(world: World, x: int) -> None:
    """A request has waited long enough for its pull."""
    request = _one(world.fills.waiting, x)
    if request:
        world.say(f"request {request.number} waits no longer")
        world.fills.go_on(request, "failed")


def carry(world: World, x: int) -> None:
    """A message arrives; any of those under way."""
    message = _one(world.wire, x)
    if message:
        world.carry(message)


def carry_first(world: World, _x: int) -> None:
    """The message arrives that was sent first."""
    if world.wire:
        world.carry(world.wire[0])


def delay(world: World, x: int) -> None:
    """A message lies somewhere; others overtake it."""
    message = _one(world.wire, x)
    if message:
        world.wire.remove(message)
        world.late.append(message)


def carry_late(world: World, x: int) -> None:
    """What lay somewhere arrives at last, perhaps after its connection has ended."""
    message = _one(world.late, x)
    if message:
        world.carry(message)


def pull(world: World, x: int) -> None:
    """An edge polls."""
    edge = world.edges[x % 2]
    connection = edge.source.connection
    asked = [one for one in edge.questions.values() if one.asked.connection == connection]
    if len(asked) < QUESTIONS_MAX:
        world.ask(edge, "pull")


def hub_step(world: World, _x: int) -> None:
    """The hub goes one step on: begins a read, the database looks, the read ends."""
    hub = world.hub
    if hub is None:
        return
    if hub.begin_read(world.now):
        world.say(f"{hub.id} begins a read")
    elif hub.look(world.database):
        seen = f"snapshot {world.database.snapshot:b}" if world.database.reachable else "nothing"
        world.say(f"{hub.id} looks at the log: {seen}")
    else:
        world.wire += hub.end_read(world.now)


def ask_again(world: World, x: int) -> None:
    """An edge asks again for a writer it holds."""
    edge = world.edges[x % 2]
    hold = _one([one for one in edge.holds if not one.number], x // 2)
    if hold:
        world.ask_for(edge, hold)


def connect(world: World, x: int) -> None:
    """An edge without a connection makes one."""
    edge = world.edges[x % 2]
    world.connect(edge)


def cut(world: World, x: int) -> None:
    """A connection breaks; the sides learn of it one by one. Answers may still be under way."""
    which, keep, first = _split(x, 2, 2, 2)
    edge = world.edges[which]
    connection = edge.source.connection
    if not connection:
        return
    world.say(f"the connection of edge {edge.name} breaks")
    _cut(world, connection, keep == 1)
    if first:
        _notice(world, edge)
    elif world.hub:
        world.hub.notice_end(connection, world.now)


def notice(world: World, x: int) -> None:
    """Whoever does not know yet learns that a connection has ended."""
    edge = world.edges[x % 2]
    connection = edge.source.connection
    hub = world.hub
    if connection and (hub is None or connection not in hub.lines):
        _notice(world, edge)
    if hub:
        live = {one.source.connection for one in world.edges}
        for one in [line for line in hub.lines if line not in live]:
            hub.notice_end(one, world.now)


def _notice(world: World, edge: Edge) -> None:
    world.say(f"edge {edge.name} learns that its connection has ended")
    edge.notice_end()
    world.fills.pulled()


def _cut(world: World, connection: int, keep: bool) -> None:
    broken = [one for one in world.wire if one.connection == connection]
    world.wire = [one for one in world.wire if one.connection != connection]
    if keep:
        world.late += [one for one in broken if one.kind in ("answer", "event")]


def restart_hub(world: World, x: int) -> None:
    """The hub ends; a new one starts at once or later."""
    if world.hub is None:
        return
    world.say(f"{world.hub.id} ends")
    for connection in world.hub.lines:
        _cut(world, connection, x % 2 == 1)
    world.hub = None
    if x // 2 % 2:
        world.start_hub()


def restart_edge(world: World, x: int) -> None:
    """An edge dies, and another takes its place."""
    old = world.edges[x % 2]
    world.say(f"edge {old.name} dies")
    world.fills.lose(old)
    world.writes = [one for one in world.writes if one.edge is not old]
    _cut(world, old.source.connection, False)
    world.edges[x % 2] = world.new_edge()


def cut_database(world: World, _x: int) -> None:
    """The hub can no longer read the database."""
    world.database.reachable = False
    world.say("the hub no longer reaches the database")


def mend(world: World, _x: int) -> None:
    """The hub starts again, or reaches its database again."""
    if world.hub is None:
        world.start_hub()
    elif not world.database.reachable:
        world.database.reachable = True
        world.say("the hub reaches the database again")


def replicate(world: World, x: int) -> None:
    """The replica replays some transactions."""
    world.database.replicate(1 + x % 3)


def trim(world: World, x: int) -> None:
    """The oldest rows of the log are removed."""
    world.database.trim(1 + x % 4)
    world.say(f"the log is trimmed, up to {world.database.trimmed:b}")


def fail_over(world: World, _x: int) -> None:
    """The primary dies, the replica is promoted."""
    gone = world.database.fail_over(world.now)
    world.promises.fail_over()
    lost = ", ".join(str(one.id) for one in gone) or "nothing"
    world.say(f"failover to epoch {world.database.epoch}: transactions lost: {lost}")


def forget(world: World, x: int) -> None:
    """An edge forgets when tags were invalidated long ago."""
    world.edges[x % 2].forget(x // 2 % 3)


def wait(world: World, x: int) -> None:
    """Nothing happens for a while."""
    world.tick(1 + x % world.pace.wait)


ACTIONS: dict[str, Action] = {
    one.__name__: one
    for one in (
        write,
        end_transaction,
        answer_write,
        read,
        fly,
        give_up,
        carry,
        carry_first,
        delay,
        carry_late,
        pull,
        hub_step,
        ask_again,
        connect,
        cut,
        notice,
        restart_hub,
        restart_edge,
        cut_database,
        mend,
        replicate,
        trim,
        fail_over,
        forget,
        wait,
    )
}
