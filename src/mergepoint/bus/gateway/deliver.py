"""Post the messages of one subscription to its app until they are taken.

Place:  bus.gateway.run -> [bus.gateway.deliver] -> bus.gateway.post
Rule:   a loop beside `verdict`, which decides; at most `concurrency` posts at a time, and no
        message is taken for an app that has nobody to take it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping

from mergepoint.bus.contract import Engine, Lease
from mergepoint.bus.errors import BusError, BusLost, LeaseLost
from mergepoint.bus.gateway.post import post
from mergepoint.bus.gateway.settings import Delivery
from mergepoint.bus.gateway.tally import Tally
from mergepoint.bus.gateway.targets import Targets
from mergepoint.bus.gateway.verdict import Fate, Verdict, judge
from mergepoint.bus.gateway.who import identity_headers
from mergepoint.core.clock import Clock
from mergepoint.wire.envelope import HEADER_PREFIX, EnvelopeInvalid, to_headers

TAKE_WAIT_S = 30.0
LOOK_S = 0.25
"""How often an app without a ready worker is looked at again."""
LOST_S = 0.5
"""Pause after the engine could not be asked."""
LEASE_MARGIN_S = 10.0
DELIVERY_HEADER = "mergepoint-delivery"
"""Names the subscription's queue. The edge lets no client send such a header."""

log = logging.getLogger("mergepoint.gateway")


class Deliverer:
    """One subscription; `run` goes on until it is cancelled, and gives back what it holds."""

    def __init__(
        self, delivery: Delivery, engine: Engine, targets: Targets, clock: Clock, issuer: str,
        worker: str, tally: Tally | None = None,
    ) -> None:  # fmt: skip
        self._tally = tally or Tally()
        self._delivery = delivery
        self._engine = engine
        self._targets = targets
        self._clock = clock
        self._issuer = issuer
        self._worker = worker
        self._posts: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(delivery.concurrency)
        self._failed = ""

    async def run(self) -> None:
        """Deliver for ever."""
        try:
            while True:
                await self._wait_for_app()
                await self._room.acquire()
                lease = await self._take()
                if lease is None:
                    self._room.release()
                    continue
                task = asyncio.ensure_future(self._deliver(lease))
                self._posts.add(task)
                task.add_done_callback(self._posts.discard)
        finally:
            await self._stop()

    async def _wait_for_app(self) -> None:
        while not self._targets.choose(self._delivery.app):
            await self._clock.sleep(LOOK_S)

    async def _take(self) -> Lease | None:
        delivery = self._delivery
        try:
            leases = await self._engine.take(
                [delivery.queue], worker=self._worker, limit=1,
                lease_s=delivery.timeout_s + LEASE_MARGIN_S, wait_s=TAKE_WAIT_S,
            )  # fmt: skip
        except BusError as error:
            if not isinstance(error, BusLost):
                log.warning("%s: %s", delivery.queue, error)
            await self._clock.sleep(LOST_S)
            return None
        return leases[0] if leases else None

    async def _deliver(self, lease: Lease) -> None:
        try:
            verdict = await self._posted(lease)
            self._tally.delivered(self._delivery.queue, str(verdict.fate))
            await self._settle(lease, verdict)
        except LeaseLost:
            log.warning("%s: message %s came back too late", lease.queue, lease.message.id)
        except BusError as error:
            # The lease ends by itself and the message comes again: at least once.
            log.warning("%s: %s", lease.queue, error)
        finally:
            self._room.release()

    async def _posted(self, lease: Lease) -> Verdict:
        delivery = self._delivery
        try:
            headers = self._headers(lease)
        except EnvelopeInvalid as error:
            return Verdict(Fate.DEAD, reason=str(error))
        address = self._targets.choose(delivery.app, self._failed)
        if not address:
            return Verdict(Fate.ABSENT, LOOK_S, f"{delivery.app} has no ready worker")
        with self._targets.using(address):
            answer = await post(
                address, delivery.post, headers, lease.message.data, delivery.timeout_s,
                self._clock.unix_s(),
            )  # fmt: skip
        self._failed = address if not answer.status else ""
        return judge(answer, delivery, lease.attempt)

    def _headers(self, lease: Lease) -> Mapping[str, str]:
        message, delivery = lease.message, self._delivery
        own = {DELIVERY_HEADER: delivery.queue, "x-forwarded-proto": "http"}
        own["x-request-id"] = message.extensions.get("mprequestid") or message.id
        if trace := message.extensions.get("traceparent"):
            own["traceparent"] = trace
        if self._issuer and (signing := self._targets.signing):
            now_s = self._clock.unix_s()
            own |= identity_headers(signing, self._issuer, delivery.app, now_s)
        envelope = {
            name: _field(text) if name.startswith(HEADER_PREFIX) else text
            for name, text in to_headers(message).items()
        }
        return {**envelope, **delivery.headers, **own}

    async def _settle(self, lease: Lease, verdict: Verdict) -> None:
        match verdict.fate:
            case Fate.DONE:
                await self._engine.ack([lease])
            case Fate.DEAD:
                log.warning("%s: %s is dead: %s", lease.queue, lease.message.id, verdict.reason)
                await self._engine.bury(lease, reason=verdict.reason)
            case Fate.AGAIN | Fate.ABSENT:
                await self._engine.nack(
                    lease, delay_s=verdict.delay_s, reason=verdict.reason,
                    burn=verdict.fate is Fate.AGAIN,
                )  # fmt: skip

    async def _stop(self) -> None:
        """Let posts under way be answered, as long as whoever stops us waits for it."""
        if self._posts:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(set(self._posts), timeout=self._delivery.timeout_s)
        for task in list(self._posts):
            task.cancel()


def _field(text: str) -> str:
    """Return an attribute as the HTTP binding of CloudEvents writes it: percent-encoded UTF-8."""
    return "".join(
        c if " " < c <= "~" and c not in '"%' else "".join(f"%{b:02X}" for b in c.encode())
        for c in text
    )
