"""What aio-pika raises, as errors of the bus.

Place:  adapters.rabbitmq.* -> [failures]
Rule:   pure; every error of the library ends here.
"""

from __future__ import annotations

from aio_pika import exceptions as theirs
from aiormq import exceptions as lower

from mergepoint.bus.errors import BusError, BusFull, BusLost, BusRefused

REFUSED = (
    lower.AuthenticationError,
    theirs.ProbableAuthenticationError,
    theirs.ChannelPreconditionFailed,
    lower.ChannelAccessRefused,
    lower.ChannelLockedResource,
    lower.ConnectionNotAllowed,
    lower.ConnectionNotImplemented,
    lower.IncompatibleProtocolError,
)
NEXT = {
    theirs.ChannelPreconditionFailed: "somebody else declared this name otherwise: remove it, or"
    " give the site a virtual host of its own",
    lower.ConnectionNotAllowed: "rabbitmqctl add_vhost, and set_permissions for the user",
    lower.ChannelAccessRefused: "rabbitmqctl set_permissions: the bus declares, reads and writes",
}
LIBRARY = (
    theirs.AMQPError,
    theirs.ChannelInvalidStateError,
    lower.AMQPError,
    OSError,
    RuntimeError,
    TimeoutError,
)
"""What a call may raise; RuntimeError and its kin say that a connection is closed."""


def translated(error: BaseException, where: str) -> BusError:
    """Return the bus's error for one of the library, the system or a timeout."""
    if isinstance(error, BusError):
        return error
    text = str(error) or type(error).__name__
    told = f"rabbitmq at {where}: {text}"
    if isinstance(error, theirs.DeliveryError):
        return BusFull(f"{told}: the broker did not take it", next="mergepoint bus queues")
    if isinstance(error, lower.InvalidFrameError) and "Connection.Close" in text:
        # aiormq keeps the broker's reason to itself; at this stage there is one thing to refuse.
        return BusRefused(
            f"rabbitmq at {where} refused the virtual host of the url: there is none of that name,"
            " the user may not use it, or it takes no more connections",
            next=NEXT[lower.ConnectionNotAllowed],
        )
    if isinstance(error, REFUSED):
        return BusRefused(told, next=NEXT.get(type(error), "check [bus] url"))
    return BusLost(told)
