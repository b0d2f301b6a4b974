"""`python -m mergepoint.assembly.gateway`: messages to and from programs that speak HTTP alone.

Place:  supervisor -> [assembly.gateway] -> bus.gateway.run
Rule:   the door: reads the environment, joins the parts, decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from typing import Any

from mergepoint.assembly.engines import engine_of
from mergepoint.bus.contract import Engine, Limits
from mergepoint.bus.errors import BusLost, BusRefused
from mergepoint.bus.gateway.run import WORKER, Gateway
from mergepoint.bus.gateway.settings import VARIABLE, Door, GatewaySettings, from_document
from mergepoint.bus.gateway.tally import Tally
from mergepoint.bus.telling import answering
from mergepoint.core.clock import Clock, SystemClock
from mergepoint.host.failure import EXIT_CONFIG, Failure, report
from mergepoint.supervisor.places import socket_dir
from mergepoint.tasks.outbox.nudging import SOCKET, listening
from mergepoint.tasks.outbox.relay import Relay, RelaySettings, samples_of

BUS_VARIABLE = "MERGEPOINT_BUS"
OUTBOXES_VARIABLE = "MERGEPOINT_OUTBOXES"
"""Databases whose committed messages are relayed; a JSON list, since passwords are in it."""
READY_VARIABLE = "MERGEPOINT_READY_FD"
RETRY_S = 0.2

log = logging.getLogger("mergepoint.gateway")


def main() -> int:
    """Serve until TERM; return the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    ready = os.environ.pop(READY_VARIABLE, "")
    try:
        settings = from_document(_document(VARIABLE))
        told = _document(BUS_VARIABLE)
        _make_places(settings)
        asyncio.run(_serve(settings, told, int(ready) if ready.isdigit() else None))
    except BusRefused as error:
        report(Failure(error.message, error.code, error.next))
        return EXIT_CONFIG
    return 0


def _make_places(settings: GatewaySettings) -> None:
    """Make the directories that apps of other users may enter: they may start later than we do."""
    for door in (*settings.doors, *settings.hub_doors):
        if door.user:
            with contextlib.suppress(OSError, KeyError):  # told where the socket is opened
                socket_dir(settings.snapshot.parent, door.user)


async def _serve(settings: GatewaySettings, told: dict[str, Any], ready_fd: int | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock = SystemClock()
    opening = asyncio.ensure_future(_opened(told, clock))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not opening.done():
        opening.cancel()
        return
    engine = opening.result()

    def say_ready() -> None:
        if ready_fd is not None:
            os.write(ready_fd, b"READY\n")
            os.close(ready_fd)

    tally, relay = Tally(), _relay_of(engine, clock)
    relaying = asyncio.ensure_future(_relay(relay, settings))

    async def say() -> dict[str, Any]:
        return {"samples": tally.samples() + ([] if relay is None else await samples_of(relay))}

    telling = asyncio.ensure_future(answering(engine, WORKER, clock, say))
    # A gateway that relays no more would look well and hold up every outbox: it begins anew.
    relaying.add_done_callback(lambda _: stop.set())
    try:
        await Gateway(settings, engine, clock, tally).run(say_ready, stop)
    finally:
        telling.cancel()
        relaying.cancel()
        (ended,) = await asyncio.gather(relaying, return_exceptions=True)
        await engine.close()
    if isinstance(ended, Exception):
        raise ended


def _relay_of(engine: Engine, clock: Clock) -> Relay | None:
    databases = json.loads(os.environ.get(OUTBOXES_VARIABLE, "[]"))
    crash_at = os.environ.get("MERGEPOINT_CRASH_AT", "")
    settings = RelaySettings(databases=tuple(databases), crash_at=crash_at)
    return Relay(settings, engine, clock) if databases else None


async def _relay(relay: Relay | None, gateway: GatewaySettings) -> None:
    """Relay what apps have sent within their transactions, until cancelled."""
    if relay is not None:
        with contextlib.ExitStack() as nudges:
            for door in (Door(path=gateway.hub), *gateway.hub_doors):
                path = door.path.with_name(SOCKET)
                try:
                    nudges.enter_context(listening(path, door.user, relay.wake))
                except (OSError, KeyError) as error:
                    log.warning("%s: %s; commits are seen a little later", path, error)
            await relay.run()
    await asyncio.Event().wait()


async def _opened(told: dict[str, Any], clock: Clock) -> Engine:
    """Return the engine once it can be reached; raise `BusRefused` when it never can."""
    limits = Limits(**told["limits"])
    said = ""
    while True:
        engine: Engine = engine_of(told["url"], limits, clock, address=told["address"])
        try:
            await engine.open(_tell)
        except BusLost as error:
            if error.message != said:
                said = error.message
                log.warning("the bus cannot be reached yet: %s", said)
            await clock.sleep(RETRY_S)
            continue
        return engine


def _tell(state: Any, reason: str) -> None:
    if reason:
        log.warning("the bus is %s: %s", state, reason)


def _document(variable: str) -> dict[str, Any]:
    try:
        document = json.loads(os.environ.get(variable, ""))
    except ValueError as error:
        raise BusRefused(f"{variable} is no JSON: {error}", next="mergepoint doctor") from None
    if not isinstance(document, dict):
        raise BusRefused(f"{variable} is no JSON object", next="mergepoint doctor")
    return document


if __name__ == "__main__":
    sys.exit(main())
