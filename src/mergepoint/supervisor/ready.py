"""Wait for the line by which a process says that it is ready, on a pipe it was given.

Place:  supervisor.edge_process, supervisor.workers -> [supervisor.ready]
Rule:   the end of the pipe without the line is an answer, too: it ended, or will never be ready.
"""

from __future__ import annotations

import asyncio
import os

READY = b"READY"
VARIABLE = "MERGEPOINT_READY_FD"
READY_BYTES_MAX = 64


async def read_ready(fd: int, timeout_s: float) -> None:
    """Return once READY was written; close the descriptor in any case.

    Raises `EOFError` when the pipe ends without it, `TimeoutError` after `timeout_s`.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READY_BYTES_MAX)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", buffering=0)
    )
    try:
        async with asyncio.timeout(timeout_s):
            line = await reader.readline()
    finally:
        transport.close()
    if line.strip() != READY:
        raise EOFError("it ended before it was ready")
