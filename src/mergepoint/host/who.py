"""Who asks, as the edge proved it, put where apps look for it.

Place:  host.wsgi, host.asgi -> [host.who] -> mergepoint.identity, at the first proven request
Rule:   nothing is decoded here, and nothing is believed but what came over the worker's own socket.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER = b"mergepoint-identity"
ENVIRON_HEADER = "HTTP_MERGEPOINT_IDENTITY"
ENVIRON_KEY = "mergepoint.identity"
SCOPE_KEY = "identity"
SUBJECT = "mergepoint.identity.subject"

_arrived: Callable[[str], Any] | None = None


def place_wsgi(environ: dict[str, Any], trusted: bool) -> None:
    """Set the identity and REMOTE_USER in place; without a proof neither key is there.

    REMOTE_USER needs both headers: `Mergepoint-Identity` cannot come from anywhere but the edge,
    not even in a site without identity.
    """
    token = environ.get(ENVIRON_HEADER)
    if token and trusted:
        environ[ENVIRON_KEY] = identity(token)
        user = environ.get("HTTP_REMOTE_USER")
        if user:
            environ["REMOTE_USER"] = user
            return
    environ.pop("REMOTE_USER", None)  # a server's own idea


def identity(token: str) -> Any:
    """Return the `Identity` of a token, decoded when the app first looks at it."""
    global _arrived  # noqa: PLW0603 - a site without identity never imports it
    if _arrived is None:
        _arrived = importlib.import_module(SUBJECT).arrived
    return _arrived(token)
