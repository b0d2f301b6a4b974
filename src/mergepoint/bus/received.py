"""What an app gets of a message: its value, and who sent it when.

Place:  bus.doorway -> [bus.received] -> apps
Rule:   a value that cannot be read is an error where it is looked at, not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mergepoint.bus.codec import Codec
from mergepoint.wire.envelope import Message


@dataclass(frozen=True)
class Event:
    """One message of a live subscription."""

    message: Message
    codec: Codec = field(repr=False)

    @cached_property
    def value(self) -> Any:
        """What was published; raises `Undecodable`."""
        return self.codec.decode(self.message.data, self.message.datacontenttype)

    @property
    def id(self) -> str:
        """Unique for its source: what a duplicate is known by."""
        return self.message.id

    @property
    def topic(self) -> str:
        """Where it was published."""
        return self.message.type

    @property
    def source(self) -> str:
        """Who published it."""
        return self.message.source

    @property
    def time(self) -> str:
        """When, RFC 3339."""
        return self.message.time

    @property
    def context(self) -> Mapping[str, str]:
        """What travelled with it, for `mergepoint.bus.context.continued`."""
        return self.message.extensions
