"""What can go wrong on the bus, each with a code that programs may compare.

Place:  [bus.errors] -> everybody on the bus
Rule:   standard library and core alone; the same fault has the same error on every engine.
"""

from __future__ import annotations

from mergepoint.core.errors import MergepointError


class BusError(MergepointError):
    """The root of them all."""

    code = "bus.error"


class BusLost(BusError):
    """The engine does not answer; what was asked did not happen, or it is not known whether."""

    code = "bus.lost"


class BusClosed(BusError):
    """The bus was closed in this process."""

    code = "bus.closed"


class BusFull(BusError):
    """A disk, a queue or a buffer is at its limit; nothing was accepted, nothing is lost."""

    code = "bus.full"


class BusRefused(BusError):
    """The engine refused: wrong credentials, a version, a limit, a name."""

    code = "bus.refused"


class NotCapable(BusError):
    """The engine cannot do this; the message names an engine that can."""

    code = "bus.not_capable"


class MessageTooLarge(BusError):
    """Over `message_bytes_max`; the message says both sizes."""

    code = "bus.message_too_large"


class Undecodable(BusError):
    """The data is not what its content type says."""

    code = "bus.undecodable"


class LeaseLost(BusError):
    """Somebody else has this job by now; whatever was done for it must not be completed."""

    code = "bus.lease_lost"


class NoSuchEntry(BusError):
    """No message of that id is there (any more)."""

    code = "bus.no_such_entry"


class NoSuchAddress(BusError):
    """Nobody ever served this address, or the instance that was named is gone."""

    code = "bus.no_such_address"


class Unavailable(BusError):
    """Somebody serves the address, but takes nothing now (draining, or too many waiting)."""

    code = "bus.unavailable"


class RequestTimeout(BusError):
    """No answer before the deadline; the request may have run, or may still run."""

    code = "bus.timeout"


class RemoteError(BusError):
    """The handler failed; `remote_code` is its error's code, `message` its words."""

    code = "bus.remote"

    def __init__(self, message: str, *, remote_code: str = "error", next: str = "") -> None:  # noqa: A002
        super().__init__(message, next=next)
        self.remote_code = remote_code
