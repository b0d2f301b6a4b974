"""How a handler's failure travels to whoever asked.

Place:  bus.adapters.memory -> [memory_answers]
Rule:   what the handler raised is told as `RemoteError`: its code and its words, no traceback.
"""

from __future__ import annotations

from mergepoint.bus.adapters.memory_broker import Served
from mergepoint.bus.errors import RemoteError
from mergepoint.core.errors import MergepointError
from mergepoint.wire.envelope import Message


async def answer_of(served: Served, message: Message) -> Message:
    """Run the handler."""
    return await served.handler(message)


def error_of(error: BaseException) -> RemoteError:
    """Return what whoever asked is told."""
    if isinstance(error, RemoteError):
        return error
    if isinstance(error, MergepointError):
        return RemoteError(error.message, remote_code=error.code, next=error.next)
    return RemoteError(f"{type(error).__name__}: {error}")
