"""The gateway's life: bind, deliver, take what is published, and stop in turn.

Place:  assembly.gateway -> [bus.gateway.run] -> bus.gateway.deliver, bus.gateway.server
Rule:   joins the parts; the engine is handed in, open or still on its way.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from mergepoint.bus.contract import Engine, Put
from mergepoint.bus.errors import BusError
from mergepoint.bus.gateway.bindings import bind_all
from mergepoint.bus.gateway.deliver import LOST_S, Deliverer
from mergepoint.bus.gateway.desk import PUBLISH, Asked, Refused, app_of, order, refusal
from mergepoint.bus.gateway.server import Json, Server
from mergepoint.bus.gateway.settings import GatewaySettings
from mergepoint.bus.gateway.splice import Splice
from mergepoint.bus.gateway.tally import Tally
from mergepoint.bus.gateway.targets import Targets
from mergepoint.core.clock import Clock

WORKER = "mp.gateway/0"

log = logging.getLogger("mergepoint.gateway")


class Gateway:
    """One gateway; `run` returns when `stop` is set."""

    def __init__(
        self, settings: GatewaySettings, engine: Engine, clock: Clock, tally: Tally | None = None
    ) -> None:
        self._tally = tally or Tally()
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._targets = Targets(settings.snapshot)

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Serve until stopped; `ready` is called once the sockets are open."""
        settings = self._settings
        server = Server(
            self.publish, body_bytes_max=settings.message_bytes_max,
            connections_max=settings.connections_max, idle_s=settings.idle_s,
        )  # fmt: skip
        splice = Splice(settings.hub)
        for listener, doors in ((server, settings.doors), (splice, settings.hub_doors)):
            for door in doors:
                try:
                    await listener.listen(door)
                except (OSError, KeyError) as error:
                    log.warning("%s: %s", door.path, error)
        ready()
        delivering = asyncio.ensure_future(self._deliver())
        try:
            await stop.wait()
        finally:
            delivering.cancel()
            closing = (server.close(), splice.close())
            await asyncio.gather(*closing, delivering, return_exceptions=True)

    async def publish(self, asked: Asked) -> Json:
        """Do what a publisher asked and say under which id; raise `Refused`."""
        try:
            answer = await self._publish(asked)
        except Refused as refused:
            self._tally.published(refused.code)
            raise
        self._tally.published("ok")
        return answer

    async def _publish(self, asked: Asked) -> Json:
        app = app_of(asked.headers, self._settings.token_key)
        now_s = self._clock.unix_s()
        now = datetime.fromtimestamp(now_s, UTC).isoformat().replace("+00:00", "Z")
        wanted = order(asked, app, str(uuid.uuid4()), now)
        try:
            if wanted.verb == PUBLISH:
                await self._engine.publish(wanted.name, wanted.message, keep_last=wanted.keep_last)
                return {"id": wanted.message.id}
            put = Put(
                message=wanted.message, priority=wanted.priority, key=wanted.key,
                not_before=now_s + wanted.delay_s if wanted.delay_s else 0.0,
                attempts_max=wanted.attempts_max or self._settings.attempts_max,
            )  # fmt: skip
            accepted = await self._engine.put(wanted.name, [put])
        except BusError as error:
            raise refusal(error) from None
        return {"id": accepted[0].id, "duplicate": accepted[0].duplicate}

    async def _deliver(self) -> None:
        settings = self._settings
        await self._bind()
        deliverers = [
            Deliverer(
                one, self._engine, self._targets, self._clock, settings.issuer, WORKER, self._tally
            )
            for one in settings.deliveries
        ]
        await asyncio.gather(*(deliverer.run() for deliverer in deliverers))

    async def _bind(self) -> None:
        """Bind until the engine has taken it: it may come later than we do."""
        told = ""
        while True:
            try:
                gone = await bind_all(
                    self._engine, self._settings.state_file, self._settings.deliveries
                )
            except (BusError, OSError) as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("subscriptions are not in force yet: %s", told)
                await self._clock.sleep(LOST_S)
                continue
            for queue, pattern in gone.items():
                log.warning("subscription %s to %s has ended", queue, pattern)
            return
