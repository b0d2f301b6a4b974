"""Queues on JetStream: what is put, and what is taken out of which consumer.

Place:  bus.adapters.nats -> [nats_queues] -> nats_pull, nats_leases, nats_bindings
Rule:   nobody gets a delivery before its record says whose it is.

A queue is a work-queue stream with one pull consumer that all workers share; each binding is one
more consumer, of the stream of topics.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import Sequence

from nats.aio.msg import Msg

from mergepoint.bus.adapters.nats_bindings import Bindings
from mergepoint.bus.adapters.nats_fence import Do, Record, Treatment, judge
from mergepoint.bus.adapters.nats_leases import SAFE_SHARE, Held, Leases
from mergepoint.bus.adapters.nats_link import NO_STREAM, ApiFault, Link
from mergepoint.bus.adapters.nats_pull import Feed, Pull
from mergepoint.bus.adapters.nats_wire import (
    ATTEMPTS_MAX,
    DUE,
    EXPIRES,
    Delivery,
    decode,
    delivery_of,
    number_of,
    put_headers,
    queue_stream,
)
from mergepoint.bus.contract import Accepted, Lease, Limits, Put
from mergepoint.bus.errors import BusClosed, BusFull, BusLost
from mergepoint.core.clock import Clock

WAIT_SHARE = 0.5
"""One pull waits for this part of a lease, so that what it brings is never an old delivery."""
TRIES_MAX = 5
MOVED_MAX = 100
"""Messages of a binding that ends are moved by so many at a time."""


class Queues:
    """The queues of one connection."""

    def __init__(self, link: Link, limits: Limits, clock: Clock) -> None:
        self._link = link
        self._limits = limits
        self._clock = clock
        self.leases = Leases(link, limits, clock)
        self.bindings = Bindings(link, limits)
        self._numbers = itertools.count(1)
        self._id = uuid.uuid4().hex[:12]
        self._turn = 0
        self._closing = False
        self._pulls: set[Pull] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def _open(self) -> None:
        self._link.alive()
        if self._closing:
            raise BusClosed("this connection to the bus was closed")

    async def give_back(self) -> None:
        """Take nothing more, and return everything that is held, unburnt."""
        self._closing = True
        for pull in list(self._pulls):
            pull.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.call_s):
                await self._idle.wait()
        await self.leases.give_back()

    async def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """Accept all or none, as far as nobody else fills the queue in this moment."""
        stream = await self._stream(queue)
        await self.leases.fence.reserve()
        if len(puts) > 1:
            await self._check_room(queue, stream, puts)
        storing = [self._store(queue, put) for put in puts]
        results = await asyncio.gather(*storing, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, Accepted)]

    async def take(
        self, queues: Sequence[str], worker: str, limit: int, lease_s: float, wait_s: float
    ) -> list[Lease]:
        """Return up to `limit` jobs as soon as there is one, [] after `wait_s`."""
        until = self._clock.monotonic_s() + wait_s
        while True:
            self._open()
            feeds = await self._feeds(queues)
            left = max(0.0, until - self._clock.monotonic_s())
            with contextlib.suppress(BusLost):
                leases = await self._pull(feeds, worker, limit, lease_s, left)
                if leases:
                    return leases
            if self._clock.monotonic_s() >= until:
                await self._link.client()
                return []

    async def unbind(self, queue: str, pattern: str) -> None:
        """End a binding; what it has brought is put into the queue itself before."""
        topics = await self._link.stream("topics")
        for name in await self.bindings.to_end(queue, pattern):
            feed = Feed(queue, topics, name, name.rpartition("=")[2])
            while moved := await self._move(feed):
                await self.put(queue, [Put(message=lease.message) for lease in moved])
                await self.leases.ack(moved)
            await self.bindings.remove(name)

    async def _move(self, feed: Feed) -> list[Lease]:
        return await self._pull([feed], "unbind", MOVED_MAX, self._limits.lease_s, 0.0)

    # --- putting ----------------------------------------------------------------------------------

    async def _stream(self, queue: str) -> str:
        names, replicas = self._link.names, self._link.settings.replicas
        return await self._link.make(queue_stream(names, queue, self._limits, replicas))

    async def _check_room(self, queue: str, stream: str, puts: Sequence[Put]) -> None:
        """JetStream 2.9 stores one message at a time: what cannot fit is refused before."""
        state = (await self._link.api(f"STREAM.INFO.{stream}"))["state"]
        most, new = self._limits.queue_messages_max, len({put.message.id for put in puts})
        if state["messages"] + new > most:
            raise BusFull(
                f"queue {queue} holds {state['messages']} messages and takes {most};"
                f" {new} more were put",
                next="mergepoint bus queues",
            )

    async def _store(self, queue: str, put: Put) -> Accepted:
        subject = self._link.names.queue(queue)
        for last in (False, True):
            try:
                stored = await self._link.store(subject, put.message.data, put_headers(put))
            except ApiFault as fault:
                if fault.code != NO_STREAM or last:
                    raise fault.told() from None
                self._link.forget(self._link.names.queue_stream(queue))
                await self._stream(queue)
            else:
                return Accepted(id=put.message.id, duplicate=bool(stored.get("duplicate")))
        raise AssertionError("unreachable")

    # --- taking -----------------------------------------------------------------------------------

    async def _feeds(self, queues: Sequence[str]) -> list[Feed]:
        """Every consumer of these queues; another queue is first each time."""
        self._turn += 1
        start = self._turn % len(queues) if queues else 0
        feeds: list[Feed] = []
        for queue in (*queues[start:], *queues[:start]):
            stream = await self._stream(queue)
            own = await self.bindings.consumer(stream, "work")
            feeds.append(Feed(queue, stream, own, "own"))
            feeds += await self.bindings.feeds(queue)
        return feeds

    async def _pull(
        self, feeds: list[Feed], worker: str, limit: int, lease_s: float, left: float
    ) -> list[Lease]:
        pull = Pull(self._link, feeds)
        self._pulls.add(pull)
        self._idle.clear()
        asked_at = self._clock.monotonic_s()
        came: list[tuple[Feed, Msg]] = []
        try:
            await pull.start()
            came = await pull.now(limit)
            if not came and left > 0 and not self._closing:
                asked_at = self._clock.monotonic_s()
                came = await pull.soon(min(left, WAIT_SHARE * self._limits.lease_s))
        except BaseException:
            # Whoever waited is gone, but what came for it is not: it goes back.
            await self._return(came + await pull.stop())
            raise
        else:
            came += await pull.stop()
            claiming = asyncio.gather(
                *(self._claim(feed, one, worker, lease_s, asked_at) for feed, one in came[:limit]),
                *(self._return([one]) for one in came[limit:]),
            )
            return await self._claimed(asyncio.ensure_future(claiming))
        finally:
            self._pulls.discard(pull)
            if not self._pulls:
                self._idle.set()
            if pull.deaf:
                self._forget(pull.deaf)

    async def _claimed(self, claiming: asyncio.Future[list[Lease | None]]) -> list[Lease]:
        """Wait for the records to be written, even when whoever wanted the jobs is gone."""
        try:
            leases = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            for lease in await claiming:
                if lease is not None:
                    await self.leases.nack(lease, 0.0, "nobody waited any more", burn=False)
            raise
        return [lease for lease in leases if lease is not None]

    def _forget(self, deaf: set[Feed]) -> None:
        for feed in deaf:
            self._link.forget(feed.stream)
        self.bindings.forget()

    async def _return(self, unwanted: Sequence[tuple[Feed, Msg]]) -> None:
        """Give back what came too late for who asked; it is no attempt."""
        for feed, message in unwanted:
            held = await self._claim_held(feed, message, "nobody", 60.0)
            if held is not None:
                await self.leases.hand_back(held, 0.0, "nobody waited any more", burn=False)

    async def _claim(
        self, feed: Feed, message: Msg, worker: str, lease_s: float, asked_at: float
    ) -> Lease | None:
        held = await self._claim_held(feed, message, worker, lease_s)
        if held is None:
            return None
        if self._clock.monotonic_s() - asked_at > SAFE_SHARE * self._limits.lease_s:
            # This process stood still: the server may have given the job to another by now, even
            # have seen it finished. What was written comes off again; the server delivers anew.
            await self.leases.let_go(held)
            return None
        return held.lease

    async def _claim_held(
        self, feed: Feed, message: Msg, worker: str, lease_s: float
    ) -> Held | None:
        """Write the record of a delivery, if it is ours to take; deal with those that are not."""
        delivery = delivery_of(message.reply)
        if delivery is None:
            return None
        fence = self._link.names.fence(
            feed.queue, feed.tag, f"{delivery.sequence}-{delivery.stored_at}"
        )
        how, token = self._treatment(message), self._token()
        known, revision = (
            (None, 0) if delivery.delivered == 1 else await self.leases.fence.read(fence)
        )
        for _ in range(TRIES_MAX):
            verdict = judge(known, delivery.delivered, how, self._clock.unix_s(), worker, token)
            if verdict.record is None:
                if verdict.do is Do.FINISH:
                    await self._link.request(message.reply, b"+ACK")
                    await self.leases.fence.remove(revision)
                return None
            written = await self.leases.fence.write(fence, verdict.record, revision)
            if written:
                held = self._hold(feed, message, delivery, fence, verdict.record, lease_s)
                held.revision, held.attempts_max = written, how.attempts_max
                return await self._act(verdict.do, held, how)
            known, revision = await self.leases.fence.read(fence)
        return None

    async def _act(self, do: Do, held: Held, how: Treatment) -> Held | None:
        if do is Do.LEASE:
            self.leases.hold(held)
            return held
        if do is Do.BURY:
            await self.leases.die(held)
        else:
            await self.leases.negative(held, how.due - self._clock.unix_s())
        return None

    def _hold(
        self,
        feed: Feed,
        message: Msg,
        delivery: Delivery,
        fence: str,
        record: Record,
        lease_s: float,
    ) -> Held:
        now = self._clock.monotonic_s()
        headers = dict(message.headers or {})
        lease = Lease(
            queue=feed.queue,
            message=decode(headers, message.data, message.subject, delivery.sequence),
            token=record.token,
            attempt=record.attempt,
            expires_at=self._clock.unix_s() + lease_s,
            handle=fence,
        )
        return Held(lease, fence, 0, record, message.reply, headers, 0, now + lease_s, now)

    def _treatment(self, message: Msg) -> Treatment:
        return Treatment(
            due=number_of(message.headers, DUE),
            expires_at=number_of(message.headers, EXPIRES),
            attempts_max=int(number_of(message.headers, ATTEMPTS_MAX)) or self._limits.attempts_max,
        )

    def _token(self) -> str:
        return f"{self._id}-{next(self._numbers)}"
