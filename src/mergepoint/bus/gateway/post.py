"""Send one message to a worker as a POST, and return how that ended; never raises for it.

Place:  bus.gateway.deliver -> [bus.gateway.post] -> a worker's socket
Rule:   one connection for one message; the answer's body is read to its end and thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import h11

from mergepoint.bus.gateway.verdict import Answer

CONNECT_S = 2.0
READ_BYTES = 1 << 16
ANSWER_BYTES_MAX = 1 << 20
"""More of an answer than this is not waited for: its status is known."""


async def post(
    address: str, path: str, headers: Mapping[str, str], body: bytes, timeout_s: float, now_s: float
) -> Answer:
    """Post and return the answer's status; without one the reason, and whether anything was sent.

    `now_s` is what a `Retry-After` with a date is counted from (RFC 9110, section 10.2.3).
    """
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await _dial(address)
    except (OSError, TimeoutError) as error:
        return Answer(reason=f"cannot connect to {address}: {error or 'timeout'}", sent=False)
    try:
        async with asyncio.timeout(timeout_s):
            return await _exchange(reader, writer, path, headers, body, now_s)
    except TimeoutError:
        return Answer(reason=f"no answer within {timeout_s:g} s")
    except (OSError, h11.RemoteProtocolError) as error:
        return Answer(reason=f"the connection broke: {error or type(error).__name__}")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _dial(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"))
    host, _, port = address.removeprefix("tcp:").rpartition(":")
    return await asyncio.open_connection(host.strip("[]"), int(port))


async def _exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    now_s: float,
) -> Answer:
    connection = h11.Connection(h11.CLIENT)
    fields = {**headers, "content-length": str(len(body)), "connection": "close"}
    request = h11.Request(method="POST", target=path, headers=list(fields.items()))
    for part in (request, h11.Data(data=body), h11.EndOfMessage()):
        writer.write(connection.send(part) or b"")
    # An app may answer before it has read everything, and then stop reading.
    with contextlib.suppress(ConnectionError):
        await writer.drain()
    answer: Answer | None = None
    taken = 0
    while taken <= ANSWER_BYTES_MAX:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(READ_BYTES)
            taken += len(data)
            connection.receive_data(data)
        elif isinstance(event, h11.Response):
            named = {name.decode("latin-1"): value for name, value in event.headers}
            wait_s = retry_after_s(named.get("retry-after", b"").decode("latin-1"), now_s)
            answer = Answer(status=event.status_code, retry_after_s=wait_s)
        elif not isinstance(event, h11.Data | h11.InformationalResponse):
            break
    return answer or Answer(reason="it closed the connection without an answer")


def retry_after_s(text: str, now_s: float) -> float:
    """Return the seconds of a Retry-After header; 0 for none, or one that cannot be read."""
    if text.strip().isdecimal() and len(text.strip()) < 10:
        return float(text)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    return 0.0
