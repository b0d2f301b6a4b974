"""What redis-py raises, as errors of the bus.

Place:  adapters.redis.link -> [failures]
Rule:   pure; every error of the library ends here; the first word of an answer decides.
"""

from __future__ import annotations

from redis import exceptions as theirs

from mergepoint.bus.errors import BusError, BusFull, BusLost, BusRefused

FULL = ("OOM", "MISCONF", "FULL", "NOREPLICAS")
REFUSED = ("NOAUTH", "WRONGPASS", "NOPERM", "DENIED", "ERR")
LOST = ("LOADING", "READONLY", "MASTERDOWN", "BUSY", "UNKILLABLE", "TRYAGAIN", "CLUSTERDOWN")
NEXT = {
    "OOM": "raise maxmemory, or let workers empty the queues",
    "MISCONF": "make room on the server's disk",
    "FULL": "mergepoint bus queues",
    "NOAUTH": "put the password into [bus] url",
    "WRONGPASS": "check user and password in [bus] url",
    "NOPERM": "give the user the commands the bus needs (EVALSHA, SUBSCRIBE, PUBLISH, ...)",
    "READONLY": "point [bus] url at the primary",
}


def translated(error: Exception, where: str) -> BusError:
    """Return the bus's error for one of the library, the system or a timeout."""
    if isinstance(error, BusError):
        return error
    text = str(error) or type(error).__name__
    word = _word(error, text)
    told = f"redis at {where}: {text}"
    if word in FULL:
        return BusFull(told, next=NEXT.get(word, ""))
    if word in REFUSED:
        return BusRefused(told, next=NEXT.get(word, ""))
    return BusLost(told, next=NEXT.get(word, ""))


def is_lost(error: Exception) -> bool:
    """Tell whether the connection is to be made anew after this."""
    text = str(error)
    if isinstance(error, theirs.AuthenticationError | theirs.NoPermissionError):
        return True
    if isinstance(error, theirs.ResponseError):
        return _word(error, text) in LOST
    return isinstance(error, theirs.ConnectionError | theirs.TimeoutError | OSError)


def _word(error: Exception, text: str) -> str:
    # redis-py takes the word off where it has a class of its own for it.
    if isinstance(error, theirs.OutOfMemoryError):
        return "OOM"
    if isinstance(error, theirs.BusyLoadingError):
        return "LOADING"
    if isinstance(error, theirs.ReadOnlyError):
        return "READONLY"
    if isinstance(error, theirs.NoPermissionError):
        return "NOPERM"
    if isinstance(error, theirs.AuthenticationError):
        return "NOAUTH" if "uthentication required" in text else "WRONGPASS"
    if isinstance(error, theirs.MasterDownError):
        return "MASTERDOWN"
    # A refused login comes wrapped as a connection error by some versions.
    first = text.split(" ", 1)[0].rstrip(":")
    if first in FULL or first in LOST or first in ("NOAUTH", "WRONGPASS", "NOPERM"):
        return first
    return "ERR" if isinstance(error, theirs.ResponseError | theirs.DataError) else "LOST"
