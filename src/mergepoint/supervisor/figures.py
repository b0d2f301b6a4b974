"""Ask the workers what their requests cost: CPU and wall seconds of each route.

Place:  supervisor.verbs -> [supervisor.figures] -> host.figures, over a worker's own socket
Rule:   HTTP/1.1 by h11; time and bytes are bounded; a worker that does not tell is left out.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11

from mergepoint.supervisor.pool import Phase, Pool
from mergepoint.supervisor.probe import READ_BYTES, Unanswered, dial
from mergepoint.supervisor.running import Running

Json = dict[str, Any]

PROBE_HEADER = "Mergepoint-Probe"
TOLD_BYTES_MAX = 1024 * 1024
TOLD_S = 2.0


async def collect(running: Running, names: list[str]) -> Json:
    """Return what each Python app's ready workers tell, by app; all apps when none is named."""
    apps = {
        name: pool for name, pool in running.apps.items() if PROBE_HEADER in pool.spec.probe.headers
    }
    chosen = {name: pool for name, pool in apps.items() if not names or name in names}
    told = await asyncio.gather(*(_of_pool(pool) for pool in chosen.values()))
    return dict(zip(chosen, told, strict=True))


async def _of_pool(pool: Pool) -> Json:
    ready = [process.address for process in pool.processes if process.phase is Phase.READY]
    told = await asyncio.gather(*(_told(address) for address in ready))
    names = [figures for one in told for figures in one.get("names", [])]
    return {"processes": len(ready), "concurrency": pool.spec.concurrency, "names": names}


async def _told(address: str) -> Json:
    try:
        document = json.loads(await fetch(address, TOLD_S))
    except (Unanswered, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


async def fetch(address: str, timeout_s: float) -> bytes:
    """Return the worker's document; raise `Unanswered`."""
    writer = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await dial(address)
            return await _body(reader, writer)
    except (TimeoutError, OSError, h11.RemoteProtocolError) as error:
        raise Unanswered(f"{address}: {error}") from error
    finally:
        if writer is not None:
            writer.close()


async def _body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", "localhost"), ("Connection", "close"), (PROBE_HEADER, "figures")]
    request = h11.Request(method="GET", target="/", headers=headers)
    writer.write((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
    await writer.drain()
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(READ_BYTES))
        elif isinstance(event, h11.Response) and event.status_code != 200:
            raise OSError(f"answered {event.status_code}")
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > TOLD_BYTES_MAX:
                raise OSError(f"over {TOLD_BYTES_MAX} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return body
        elif isinstance(event, h11.ConnectionClosed):
            raise OSError("the connection was closed before an answer")
