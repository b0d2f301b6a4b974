"""The control channel finds each answer, bounds each wait, and says plainly when the edge is gone.

Place:  make test
Rule:   real Unix sockets and real descriptors; no sleeping for effect.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mergepoint.core.errors import EdgeRefused, EdgeUnreachable
from mergepoint.edge import control as control_module
from mergepoint.edge.control import EdgeControl, connect_edge
from mergepoint.edge.descriptors import receive_listeners
from mergepoint.supervisor.contract import EdgeConnector, EdgeDoor

from .edge_double import EdgeServer, hand_over

Json = dict[str, Any]


@pytest.fixture
def path() -> Any:
    with tempfile.TemporaryDirectory(prefix="mp") as directory:
        yield Path(directory) / "edge.sock"


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[tuple[EdgeServer, EdgeControl]]:
    server = EdgeServer(path)
    await server.start()
    control = await connect_edge(path, 5)
    try:
        async with asyncio.timeout(10):
            yield server, control
    finally:
        await control.close()
        await server.stop()


def run(path: Path, body: Callable[[EdgeServer, EdgeControl], Awaitable[None]]) -> None:
    async def main() -> None:
        async with connected(path) as (server, control):
            await body(server, control)

    asyncio.run(main())


def test_it_is_the_door_the_supervisor_asks_for(path: Path) -> None:
    connector: EdgeConnector = connect_edge

    async def body(server: EdgeServer, control: EdgeControl) -> None:
        door: EdgeDoor = control
        server.answers |= {
            "apply": lambda q: {"generation": q["snapshot"]["generation"]},
            "await_drained": lambda q: {"in_flight": 2 if q["address"] == "unix:/a" else 0},
            "stats": lambda _: {"generation": 3, "apps": {}},
            "inflight": lambda _: {"requests": [{"request_id": "r1"}]},
            "metrics": lambda _: {"text": "up 1\n"},
            "drain": lambda _: {},
        }
        assert await door.apply({"generation": 9}) == 9
        assert await door.await_drained("unix:/a", 0.5) == 2
        assert await door.stats() == {"generation": 3, "apps": {}}
        assert await door.inflight() == [{"request_id": "r1"}]
        assert await door.metrics() == "up 1\n"
        assert await control.ping() == {"version": "0.1.0", "pid": 4711, "generation": 3}
        await door.drain(3)
        assert server.asked[-1] | {"id": 0} == {"id": 0, "verb": "drain", "timeout_s": 3}

    assert connector is not None
    run(path, body)


def test_answers_find_their_questions_in_any_order(path: Path) -> None:
    async def body(server: EdgeServer, control: EdgeControl) -> None:
        server.answers["await_drained"] = lambda _: None
        questions = [asyncio.create_task(control.await_drained(f"unix:/{n}", 5)) for n in range(5)]
        while len(server.asked) < 6:
            await asyncio.sleep(0)
        server.answers["await_drained"] = lambda q: {"in_flight": int(q["address"][6:])}
        for question in reversed(server.asked[1:]):
            server.answer(question, server.writers[0])
        assert await asyncio.gather(*questions) == [0, 1, 2, 3, 4]

    run(path, body)


def test_a_refusal_carries_the_edges_own_words_and_code(path: Path) -> None:
    async def body(server: EdgeServer, control: EdgeControl) -> None:
        with pytest.raises(EdgeRefused, match="apply: there is no verb apply") as refused:
            await control.apply({})
        assert refused.value.code == "edge.unknown_verb"
        assert (await control.ping())["pid"] == 4711, "the channel goes on"

    run(path, body)


def test_a_snapshot_of_many_megabytes_passes(path: Path) -> None:
    async def body(server: EdgeServer, control: EdgeControl) -> None:
        server.answers["apply"] = lambda q: {"generation": len(q["snapshot"]["filler"])}
        assert await control.apply({"filler": "x" * (8 << 20)}) == 8 << 20

    run(path, body)


def test_a_lost_edge_ends_every_question_and_every_later_one(path: Path) -> None:
    async def body(server: EdgeServer, control: EdgeControl) -> None:
        server.answers["stats"] = lambda _: None
        waiting = asyncio.create_task(control.stats())
        while len(server.asked) < 2:
            await asyncio.sleep(0)
        await server.stop()
        with pytest.raises(EdgeUnreachable, match="stats: "):
            await waiting
        with pytest.raises(EdgeUnreachable, match="metrics: the edge closed the channel"):
            await control.metrics()

    run(path, body)


def test_an_edge_that_never_answers_costs_one_deadline(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "DRAINED_SLACK_S", 0.02)

    async def body(server: EdgeServer, control: EdgeControl) -> None:
        server.answers["await_drained"] = lambda _: None
        with pytest.raises(EdgeUnreachable, match=r"did not answer await_drained within"):
            await control.await_drained("unix:/a", 0.02)

    run(path, body)


@pytest.mark.parametrize(
    ("line", "said"),
    [(b"nonsense\n", "no JSON object"), (b"[1]\n", "no JSON object"), (b"\xff\n", "no JSON")],
)
def test_a_line_that_makes_no_sense_ends_the_channel(path: Path, line: bytes, said: str) -> None:
    async def body(server: EdgeServer, control: EdgeControl) -> None:
        server.answers["stats"] = lambda _: line
        with pytest.raises(EdgeUnreachable, match=said):
            await control.stats()

    run(path, body)


def test_an_answer_without_its_field_is_an_error_and_not_a_crash(path: Path) -> None:
    async def body(server: EdgeServer, control: EdgeControl) -> None:
        server.answers |= {"apply": lambda _: {}, "inflight": lambda _: {"requests": 3}}
        with pytest.raises(EdgeUnreachable, match="makes no sense: generation"):
            await control.apply({})
        with pytest.raises(EdgeUnreachable, match="makes no sense: inflight"):
            await control.inflight()

    run(path, body)


def test_a_line_beyond_the_bound_ends_the_channel(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "LINE_BYTES_MAX", 4096)

    async def body(server: EdgeServer, control: EdgeControl) -> None:
        with pytest.raises(EdgeRefused, match="4096 at most"):
            await control.apply({"filler": "x" * 5000})
        server.answers["metrics"] = lambda _: {"text": "x" * 100_000}
        with pytest.raises(EdgeUnreachable, match="more than 4096 bytes"):
            await control.metrics()

    run(path, body)


def test_events_come_on_a_connection_of_their_own_and_end_with_the_edge(path: Path) -> None:
    async def body(server: EdgeServer, control: EdgeControl) -> None:
        events = control.events()
        first = asyncio.create_task(anext(events))
        while not server.subscribers:
            await asyncio.sleep(0)
        server.subscribers[0].write(b'{"event": "slot_ejected", "app": "tickets", "slot": 0}\n')
        assert (await first)["event"] == "slot_ejected"
        assert len(server.writers) == 2
        server.subscribers[0].close()
        assert [event async for event in events] == []
        assert (await control.ping())["pid"] == 4711, "the first connection goes on"

    run(path, body)


def test_connecting_waits_for_an_edge_that_comes_late(path: Path) -> None:
    async def main() -> None:
        connecting = asyncio.create_task(connect_edge(path, 10))
        await asyncio.sleep(0)
        server = EdgeServer(path)
        await server.start()
        control = await connecting
        await control.close()
        await server.stop()

    asyncio.run(main())


def test_no_edge_is_unreachable_after_the_deadline(path: Path) -> None:
    with pytest.raises(EdgeUnreachable, match=r"within 0\.05 s: No such file"):
        asyncio.run(connect_edge(path, 0.05))


def test_a_socket_that_hangs_up_is_unreachable_after_the_deadline(path: Path) -> None:
    async def main() -> None:
        server = EdgeServer(path)
        server.answers["ping"] = lambda _: b"{"
        await server.start()
        server.answers["ping"] = lambda _: b"{}\n"
        with pytest.raises(EdgeUnreachable, match="did not answer on"):
            await connect_edge(path, 0.05)
        await server.stop()

    asyncio.run(main())


def test_closing_ends_open_questions_and_leaves_no_task(path: Path) -> None:
    async def body(server: EdgeServer, control: EdgeControl) -> None:
        server.answers["stats"] = lambda _: None
        waiting = asyncio.create_task(control.stats())
        while len(server.asked) < 2:
            await asyncio.sleep(0)
        await control.close()
        with pytest.raises(EdgeUnreachable, match="the channel was closed"):
            await waiting
        assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("edge control")]

    run(path, body)


@pytest.mark.parametrize("split", [False, True])
def test_listeners_arrive_as_descriptors_by_name(path: Path, split: bool) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as http,
        socket.create_server(("127.0.0.1", 0)) as admin,
    ):
        hand_over(path, {"ok": True, "names": ["http", "admin"]}, [http, admin], split)
        received = receive_listeners(path, 5)

        assert list(received) == ["http", "admin"]
        for name, original in (("http", http), ("admin", admin)):
            with socket.socket(fileno=received[name]) as copy:
                assert copy.getsockname() == original.getsockname()
                assert not os.get_inheritable(copy.fileno())


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ({"ok": True, "names": ["http"]}, EdgeUnreachable, "named 1 listeners and sent 2"),
        ({"ok": True, "names": ["a", "a"]}, EdgeUnreachable, "named 2"),
        ({"ok": True}, EdgeUnreachable, "no names"),
        ({"ok": False, "error": {"code": "x", "message": "not now"}}, EdgeRefused, "not now"),
    ],
)
def test_descriptors_of_a_bad_answer_are_closed(
    path: Path, answer: Json, error: type[Exception], said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as two:
        before = open_sockets()
        hand_over(path, answer, [one, two])
        with pytest.raises(error, match=said):
            receive_listeners(path, 5)

        assert open_sockets() <= before


def open_sockets() -> int:
    """Count this process's listening TCP descriptors."""
    count = 0
    for name in (entry.name for entry in Path("/proc/self/fd").iterdir()):
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as copy:
                listening = copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                count += bool(listening and copy.family == socket.AF_INET)
        except OSError:
            continue
    return count


def test_listeners_of_no_edge_are_unreachable(path: Path) -> None:
    with pytest.raises(EdgeUnreachable, match="did not hand over"):
        receive_listeners(path, 0.1)
