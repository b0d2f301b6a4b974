"""Requests: one answer from whoever serves an address, or one error that says what is known.

Place:  bus.promise -> [bus.requests] -> an engine
Rule:   exactly one outcome, whatever happens to whoever was asked.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mergepoint.bus.contract import Engine, Handler
from mergepoint.bus.errors import (
    BusError,
    BusLost,
    NoSuchAddress,
    RemoteError,
    RequestTimeout,
    Unavailable,
)
from mergepoint.wire.envelope import Message
from mergepoint_testkit.bus.promise import promise
from mergepoint_testkit.bus.stand import LONG_S, Stand


async def echo(message: Message) -> Message:
    """Answer with what was asked."""
    return message


def named(name: bytes) -> Handler:
    """Return a handler that answers with a name."""

    async def answer(message: Message) -> Message:
        return replace(message, data=name)

    return answer


class Held:
    """A handler that waits to be let go, and says when it was called."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self.go = asyncio.Event()
        self.count = 0

    async def __call__(self, message: Message) -> Message:
        self.count += 1
        self.called.set()
        await self.go.wait()
        return message


async def ask(
    stand: Stand, engine: Engine, address: str, data: bytes = b"{}", *, timeout_s: float = LONG_S
) -> bytes:
    """Ask, and return what the answer holds."""
    asking = engine.request(address, stand.message(data), timeout_s=timeout_s)
    return (await stand.soon(asking)).data


@promise("request")
async def a_request_is_answered(stand: Stand) -> None:
    other = await stand.connect()
    await stand.soon(other.serve(stand.address("search"), named(b'"found"')))
    assert await ask(stand, stand.first, stand.address("search")) == b'"found"'


@promise("request")
async def a_connection_may_ask_itself(stand: Stand) -> None:
    await stand.soon(stand.first.serve(stand.address("search"), echo))
    assert await ask(stand, stand.first, stand.address("search"), b"1") == b"1"


@promise("request")
async def the_handler_gets_the_request_as_it_was_sent(stand: Stand) -> None:
    seen = []

    async def answer(message: Message) -> Message:
        seen.append(message)
        return stand.message(bytes(range(256)), subject="answer", extensions={"mplanguage": "de"})

    other = await stand.connect()
    await stand.soon(other.serve(stand.address("search"), answer))
    sent = stand.message(bytes(range(256)), subject="s", extensions={"mpidentity": "a"})
    got = await stand.soon(stand.first.request(stand.address("search"), sent, timeout_s=LONG_S))
    assert (seen[0].id, seen[0].data, seen[0].subject) == (sent.id, sent.data, "s")
    assert seen[0].extensions["mpidentity"] == "a"
    assert (got.data, got.subject) == (bytes(range(256)), "answer")
    assert got.extensions["mplanguage"] == "de"


@promise("request")
async def an_address_nobody_ever_served_is_unknown(stand: Stand) -> None:
    with pytest.raises(NoSuchAddress):
        await ask(stand, stand.first, stand.address("nobody"))


@promise("request")
async def an_instance_that_is_not_there_is_unknown(stand: Stand) -> None:
    await stand.soon(stand.first.serve(stand.address("app") + "/0", echo))
    with pytest.raises(NoSuchAddress):
        await ask(stand, stand.first, stand.address("app") + "/1")


@promise("request")
async def an_instance_is_asked_alone(stand: Stand) -> None:
    for name in ("0", "1", "2"):
        engine = await stand.connect()
        await stand.soon(engine.serve(f"{stand.address('app')}/{name}", named(name.encode())))
    for name in ("1", "0", "2", "1"):
        answer = await ask(stand, stand.first, f"{stand.address('app')}/{name}")
        assert answer == name.encode()


@promise("request")
async def an_instance_answers_for_its_app(stand: Stand) -> None:
    engine = await stand.connect()
    await stand.soon(engine.serve(stand.address("app") + "/7", named(b"7")))
    assert await ask(stand, stand.first, stand.address("app")) == b"7"


@promise("request", requests_max=1)
async def servers_of_an_address_share_its_requests(stand: Stand) -> None:
    held = [Held(), Held()]
    for one in held:
        engine = await stand.connect()
        await stand.soon(engine.serve(stand.address("app"), one))
    asking = [asyncio.create_task(ask(stand, stand.first, stand.address("app"))) for _ in range(2)]
    for one in held:
        async with stand.patience():
            await one.called.wait()
        one.go.set()
    await asyncio.gather(*asking)
    assert [one.count for one in held] == [1, 1]


@promise("request")
async def requests_run_side_by_side_and_get_their_own_answers(stand: Stand) -> None:
    other = await stand.connect()
    waiting: list[asyncio.Future[None]] = []

    async def answer(message: Message) -> Message:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(future)
        if len(waiting) == 20:
            for one in reversed(waiting):
                one.set_result(None)
        await future
        return message

    await stand.soon(other.serve(stand.address("app"), answer))
    answers = await asyncio.gather(
        *(ask(stand, stand.first, stand.address("app"), b"%d" % number) for number in range(20))
    )
    assert answers == [b"%d" % number for number in range(20)]


@promise("request")
async def a_failing_handler_is_an_error_of_who_asked(stand: Stand) -> None:
    async def answer(_message: Message) -> Message:
        raise ValueError("no such customer")

    other = await stand.connect()
    await stand.soon(other.serve(stand.address("app"), answer))
    with pytest.raises(RemoteError) as caught:
        await ask(stand, stand.first, stand.address("app"))
    assert "no such customer" in caught.value.message


@promise("request")
async def a_handlers_own_code_reaches_who_asked(stand: Stand) -> None:
    async def answer(_message: Message) -> Message:
        raise BusError("the shelf is empty")

    other = await stand.connect()
    await stand.soon(other.serve(stand.address("app"), answer))
    with pytest.raises(RemoteError) as caught:
        await ask(stand, stand.first, stand.address("app"))
    assert caught.value.remote_code == "bus.error"


@promise("request")
async def a_server_goes_on_after_a_failure(stand: Stand) -> None:
    async def answer(message: Message) -> Message:
        if message.data == b"bad":
            raise ValueError("bad")
        return message

    await stand.soon((await stand.connect()).serve(stand.address("app"), answer))
    with pytest.raises(RemoteError):
        await ask(stand, stand.first, stand.address("app"), b"bad")
    assert await ask(stand, stand.first, stand.address("app"), b"1") == b"1"


@promise("request")
async def no_answer_in_time_is_a_timeout(stand: Stand) -> None:
    held = Held()
    await stand.soon((await stand.connect()).serve(stand.address("app"), held))
    with pytest.raises(RequestTimeout):
        await ask(stand, stand.first, stand.address("app"), timeout_s=stand.short_s)
    held.go.set()


@promise("request")
async def a_late_answer_reaches_nobody_else(stand: Stand) -> None:
    held = Held()
    other = await stand.connect()
    await stand.soon(other.serve(stand.address("slow"), held))
    await stand.soon(other.serve(stand.address("app"), echo))
    with pytest.raises(RequestTimeout):
        await ask(stand, stand.first, stand.address("slow"), b"late", timeout_s=stand.short_s)
    held.go.set()
    for number in range(5):
        data = b"%d" % number
        assert await ask(stand, stand.first, stand.address("app"), data) == data


@promise("request")
async def an_address_that_is_no_longer_served_says_so(stand: Stand) -> None:
    serving = await stand.soon(stand.first.serve(stand.address("app"), echo))
    await stand.soon(serving.close())
    with pytest.raises((NoSuchAddress, Unavailable)):
        await ask(stand, stand.first, stand.address("app"))


@promise("request")
async def what_is_in_hand_is_answered_when_serving_ends(stand: Stand) -> None:
    held = Held()
    other = await stand.connect()
    serving = await stand.soon(other.serve(stand.address("app"), held))
    asking = asyncio.create_task(ask(stand, stand.first, stand.address("app"), b"1"))
    async with stand.patience():
        await held.called.wait()
    closing = asyncio.create_task(serving.close())
    await asyncio.sleep(0)
    held.go.set()
    assert await asking == b"1"
    async with stand.patience():
        await closing


@promise("request", requests_max=2)
async def too_many_requests_are_refused_not_kept(stand: Stand) -> None:
    held = Held()
    server = await stand.connect()
    await stand.soon(server.serve(stand.address("app"), held))
    asking = [asyncio.create_task(ask(stand, stand.first, stand.address("app"))) for _ in range(8)]
    done, _ = await asyncio.wait(
        asking, return_when=asyncio.FIRST_COMPLETED, timeout=stand.source.patience_s
    )
    assert done, "nothing was refused"
    held.go.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, Unavailable)]
    assert len(refused) + sum(one == b"{}" for one in outcomes) == 8
    assert refused
    assert held.count == 8 - len(refused)


@promise("request", kills=True)
async def a_killed_server_ends_its_requests(stand: Stand) -> None:
    held = Held()
    victim = await stand.connect()
    await stand.soon(victim.serve(stand.address("app"), held))
    asking = asyncio.create_task(
        ask(stand, stand.first, stand.address("app"), timeout_s=5 * stand.short_s)
    )
    async with stand.patience():
        await held.called.wait()
    await stand.kill(victim)
    with pytest.raises((RequestTimeout, Unavailable, BusLost)):
        await asking
