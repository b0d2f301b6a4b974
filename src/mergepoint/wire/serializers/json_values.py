"""JSON (RFC 8259) for values, with the marked forms of `plain`.

Place:  wire.serializers.named -> [wire.serializers.json_values] -> plain
Rule:   standard library alone; never evaluates, never imports what a message names.
"""

from __future__ import annotations

import json
from typing import Any

from mergepoint.wire.serializers.contract import Refused
from mergepoint.wire.serializers.plain import from_plain, to_plain


class JsonSerializer:
    """Readable by every language; the default."""

    content_type = "application/json"

    def encode(self, value: Any) -> bytes:
        """Return compact JSON in UTF-8; raise `Refused` naming the place in the value."""
        text = json.dumps(
            to_plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False
        )
        return text.encode()

    def decode(self, data: bytes) -> Any:
        """Return the value; raise `Refused` naming line and column. No bytes are None."""
        if not data:
            return None
        try:
            return json.loads(data, object_hook=from_plain, parse_constant=_no_constant)
        except Refused:
            raise
        except RecursionError:
            raise Refused("JSON with too many values inside each other") from None
        except ValueError as error:
            raise Refused(f"no JSON: {error}") from None


def _no_constant(name: str) -> Any:
    raise Refused(f"{name} is no JSON")
