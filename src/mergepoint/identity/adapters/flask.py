"""Flask: end the session an app keeps in its own cookie when somebody else comes with it:

    from mergepoint.identity.adapters.flask import guard_session
    app = Flask(__name__)
    guard_session(app)                     # after any session_interface of your own

Place:  Flask -> [adapters.flask] -> identity.finding
Rule:   a session from before a login goes on; one that somebody has used is never anybody else's.

Who asks, and `requires`, need no adapter in Flask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import request as current
from flask.sessions import SessionInterface

from mergepoint.identity import of

if TYPE_CHECKING:
    from flask import Flask

OWNER = "_mergepoint_sub"


def guard_session(app: Flask) -> None:
    """Bind the sessions of an app to who is proven; a second call changes nothing."""
    if not isinstance(app.session_interface, GuardedSessions):
        app.session_interface = GuardedSessions(app.session_interface)


class GuardedSessions(SessionInterface):
    """Sessions of any kind, emptied when they are opened by another than their owner."""

    def __init__(self, inner: SessionInterface) -> None:
        self._inner = inner

    def open_session(self, app: Flask, request: Any) -> Any:
        """Return the session of a request, empty if it is somebody else's."""
        found = self._inner.open_session(app, request)
        owner = None if found is None else _peek(found)
        if found is not None and owner is not None and owner != of(request).sub:
            found.clear()
        return found

    def save_session(self, app: Flask, session: Any, response: Any) -> None:
        """Write into a session whose it is, and save it."""
        sub = of(current).sub
        if sub and session.modified and session and _peek(session) != sub:
            session[OWNER] = sub
        self._inner.save_session(app, session, response)

    def is_null_session(self, obj: object) -> bool:
        """Tell what the inner interface tells."""
        return self._inner.is_null_session(obj)

    def make_null_session(self, app: Flask) -> Any:
        """Return what the inner interface returns."""
        return self._inner.make_null_session(app)


def _peek(session: Any) -> Any:
    """Return the owner; a look by the session's own methods would add `Vary: Cookie`."""
    return dict.get(session, OWNER) if isinstance(session, dict) else session.get(OWNER)
