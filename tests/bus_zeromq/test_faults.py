"""The relay's process dies, a listener stands still, an address is nobody's business."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from mergepoint.bus.adapters.zeromq import ZeromqEngine
from mergepoint.bus.adapters.zeromq_wire import endpoints_of
from mergepoint.bus.contract import Change, Gap, Limits, State
from mergepoint.bus.errors import BusLost, BusRefused, NoSuchAddress
from mergepoint.core.clock import SystemClock
from mergepoint.wire.envelope import Message

LIMITS = Limits(heartbeat_s=0.5)
PATIENCE_S = 40.0
PEER = Path(__file__).with_name("peer.py")


@pytest.fixture
def url() -> Iterator[str]:
    """An address nobody else meets at."""
    with tempfile.TemporaryDirectory(prefix="mergepoint-zmq-", dir="/tmp") as directory:
        yield f"zmq+ipc://{directory}/bus"


def message(number: int = 0) -> Message:
    """Return a message that says its number."""
    return Message(id=uuid.uuid4().hex, source="t", type="t", data=b"%d" % number)


def peer(url: str, count: int) -> subprocess.Popen[str]:
    """Start a process that is on the bus when this returns."""
    words = [sys.executable, str(PEER), url, str(count)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    """Let no process live on."""
    process.kill()
    process.wait()


def test_when_the_relays_process_is_killed_another_one_takes_its_place(url: str) -> None:
    relay = peer(url, 1_000_000)

    async def story() -> None:
        states: list[State] = []
        engines = [ZeromqEngine(url, LIMITS, SystemClock()) for _ in range(2)]
        lost, back = asyncio.Event(), asyncio.Event()

        def told(state: State, _reason: str) -> None:
            states.append(state)
            (lost if state is State.LOST else back).set()

        await engines[0].open(told)
        await engines[1].open(lambda _state, _reason: None)
        listening = aiter(await engines[0].subscribe("news"))
        changes = aiter(await engines[1].watch("peer"))
        assert (await anext(changes)).change is Change.JOINED
        await engines[1].serve("search", _echo)
        back.clear()
        relay.send_signal(signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            await lost.wait()
            await back.wait()
            assert await anext(listening) == Gap(0)
            assert (await anext(changes)).change is Change.LEFT
            await _published_until_heard(engines[1], listening)
            answer = await engines[0].request("search", message(7), timeout_s=PATIENCE_S)
        assert answer.data == b"7"
        assert states[-1] is State.CONNECTED
        for engine in engines:
            await engine.close()

    try:
        asyncio.run(story())
    finally:
        end(relay)


async def _echo(asked: Message) -> Message:
    return asked


async def _published_until_heard(engine: ZeromqEngine, listening: object) -> None:
    """Each engine finds the new relay in its own time: publish until the listener hears."""
    hearing = asyncio.ensure_future(anext(listening))  # type: ignore[call-overload]
    number = 0
    while not hearing.done():
        number += 1
        await engine.publish("news", message(number))
        await asyncio.wait({hearing}, timeout=0.1)
    assert isinstance(hearing.result(), Message | Gap)


def test_a_listener_that_stood_still_knows_what_it_missed(url: str) -> None:
    count = 30_000

    async def story() -> tuple[int, int]:
        engine = ZeromqEngine(url, LIMITS, SystemClock())
        await engine.open(lambda _state, _reason: None)
        process = await asyncio.to_thread(peer, url, count)
        try:
            process.send_signal(signal.SIGSTOP)
            for number in range(count):
                await engine.publish("flood", message(number))
            process.send_signal(signal.SIGCONT)
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE_S):
                line = await asyncio.to_thread(process.stdout.readline)
        finally:
            end(process)
        await engine.close()
        received, lost = map(int, line.split())
        return received, lost

    received, lost = asyncio.run(story())
    print(f"{received} received, {lost} told missing")
    assert received + lost == count
    assert lost > 0


def test_a_server_whose_process_dies_leaves_no_address_behind(url: str) -> None:
    async def story() -> None:
        engine = ZeromqEngine(url, LIMITS, SystemClock())
        await engine.open(lambda _state, _reason: None)
        process = await asyncio.to_thread(peer, url, 1)
        asked = await engine.request("peer", message(3), timeout_s=PATIENCE_S)
        assert asked.data == b"3"
        changes = aiter(await engine.watch("peer"))
        assert (await anext(changes)).change is Change.JOINED
        end(process)
        async with asyncio.timeout(PATIENCE_S):
            assert (await anext(changes)).change is Change.LEFT
            while not await _unknown(engine):
                pass
        await engine.close()

    asyncio.run(story())


async def _unknown(engine: ZeromqEngine) -> bool:
    try:
        await engine.request("peer", message(), timeout_s=0.2)
    except NoSuchAddress:
        return True
    except Exception as error:
        assert "may have run" in str(error)
    return False


def test_an_address_that_cannot_be_bound_and_where_nobody_is_is_lost() -> None:
    async def story() -> None:
        engine = ZeromqEngine("zmq+tcp://127.9.9.9:1", Limits(call_s=0.5), SystemClock())
        with pytest.raises(BusLost, match="nobody answers"):
            await engine.open(lambda _state, _reason: None)

    # Port 1 is taken from us by binding it first, where that needs no privilege.
    import socket

    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.9.9.9", 1))
            taken.listen()
        except OSError:
            pass  # then nobody may bind it
        asyncio.run(story())


@pytest.mark.parametrize(
    "url",
    [
        "zmq+tcp://192.0.2.7:7450",
        "zmq+tcp://127.0.0.1",
        "zmq+tcp://127.0.0.1:65535",
        "zmq+tcp://127.0.0.1:x",
        "zmq+ipc://relative/path",
        "zmq+ipc:///" + "d" * 120,
        "zmq+ipc:///run/bus?hwm=1",
    ],
)
def test_an_address_that_is_unsafe_or_nonsense_is_refused(url: str) -> None:
    with pytest.raises(BusRefused):
        endpoints_of(url)


def test_another_host_may_be_trusted_by_name() -> None:
    assert endpoints_of("zmq+tcp://192.0.2.7:7450?trusted=yes").feed == "tcp://192.0.2.7:7451"


def test_the_directory_of_the_sockets_is_closed_to_others(url: str) -> None:
    async def story() -> None:
        engine = ZeromqEngine(url, LIMITS, SystemClock())
        await engine.open(lambda _state, _reason: None)
        directory = endpoints_of(url).directory
        assert directory is not None
        assert directory.stat().st_mode & 0o077 == 0
        await engine.close()

    asyncio.run(story())
