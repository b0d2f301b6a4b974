"""Flask-Login: `current_user` is who the site says. After making the LoginManager:

    from mergepoint.identity.adapters.flask_login import connect
    connect(login_manager)                                # current_user.identity.may("...")
    connect(login_manager, lambda identity: User.query.get_or_404(identity.user))  # your own users

Place:  Flask-Login -> [adapters.flask_login] -> identity.finding
Rule:   a login that Flask-Login remembers from before never outweighs the site's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import abort, redirect, request
from flask_login import UserMixin, login_url  # type: ignore[import-untyped]

from mergepoint.identity import Identity, of

if TYPE_CHECKING:
    from collections.abc import Callable

LOGIN = "/-/accounts/login"


class SiteUser(UserMixin):  # type: ignore[misc]
    """A user as Flask-Login wants one, for apps without users of their own."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.id = identity.sub

    @property
    def name(self) -> str:
        """Return the full name, or the login name when none is known."""
        return self.identity.name or self.identity.user


def connect(
    manager: Any, user_for: Callable[[Identity], Any] = SiteUser, login: str = LOGIN
) -> None:
    """Let the site decide who `current_user` is, and send `login_required` to its login page.

    `user_for` gets a proven identity and returns the app's user, or None for nobody. `login` is
    the address of the login page of the accounts app.
    """

    def asked(_: Any) -> Any:
        identity = of(request)
        return None if identity.anonymous else user_for(identity)

    manager.request_loader(asked)
    # Flask-Login asks a session and a remember-me cookie first, both by an id of their own time.
    manager.user_loader(asked)
    manager.login_view = login
    manager.unauthorized_handler(lambda: _refused(login))
    manager.session_protection = None  # the site watches over its sessions


def _refused(login: str) -> Any:
    if not of(request).anonymous:  # known to the site, not to the app: a login changes nothing
        abort(403)
    return redirect(login_url(login, request.url), 303)
