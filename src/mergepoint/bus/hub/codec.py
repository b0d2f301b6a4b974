"""JSON for frames' heads: msgspec where it is there, the standard library otherwise.

Place:  bus.hub.connection, bus.hub.answers -> [bus.hub.codec]
Rule:   both give the same bytes for the same head, but for spaces.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

decode: Callable[[bytes], Any] = json.loads


def _plain(value: Any) -> bytes:  # Any: whatever JSON holds
    return json.dumps(value, separators=(",", ":")).encode()


encode: Callable[[Any], bytes] = _plain

try:
    import msgspec
except ImportError:
    pass
else:
    decode = msgspec.json.Decoder().decode
    encode = msgspec.json.Encoder().encode
