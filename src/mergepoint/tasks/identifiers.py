"""Ids that sort by age: UUIDv7 (RFC 9562, section 5.7).

Place:  tasks.declare -> [tasks.identifiers]
Rule:   of two ids made one after the other in a process, the second is the greater.
"""

from __future__ import annotations

import secrets
import threading
import uuid

_lock = threading.Lock()
_last = 0


def new_id(unix_s: float) -> str:
    """Return a UUIDv7: milliseconds, then a count that starts at random, then chance."""
    global _last  # noqa: PLW0603 - one order for a whole process, whoever asks
    # Milliseconds and the 12 bits of `rand_a` as one number: what is not later counts on.
    wanted = (int(unix_s * 1000) << 12) | secrets.randbits(11)
    with _lock:
        _last = max(_last + 1, wanted)
        made = _last
    milliseconds, count = made >> 12, made & 0xFFF
    value = (milliseconds & (2**48 - 1)) << 80 | 7 << 76 | count << 64
    return str(uuid.UUID(int=value | 0b10 << 62 | secrets.randbits(62)))
