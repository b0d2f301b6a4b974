"""How a handler's failure travels to whoever asked: its code and its words, no traceback.

Place:  bus.adapters.nats_requests, .zeromq_requests, .xmpp_requests -> [answers]
Rule:   pure.
"""

from __future__ import annotations

from mergepoint.bus.errors import MessageTooLarge, RemoteError
from mergepoint.core.errors import MergepointError
from mergepoint.wire.envelope import Message

WORDS_CHARACTERS_MAX = 2_000


def failure(error: BaseException) -> tuple[str, str]:
    """Return the code and the words of what a handler raised."""
    code, words = "error", f"{type(error).__name__}: {error}"
    if isinstance(error, RemoteError):
        code, words = error.remote_code, error.message
    elif isinstance(error, MergepointError):
        code, words = error.code, error.message
    return code, words[:WORDS_CHARACTERS_MAX]


def check_answer(answer: Message, bytes_max: int) -> None:
    """Raise `MessageTooLarge` for an answer that no message may be."""
    if len(answer.data) > bytes_max:
        raise MessageTooLarge(
            f"an answer of {len(answer.data)} bytes; a message may have {bytes_max}"
        )
