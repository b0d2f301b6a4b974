"""Starlette: `request.user`, `request.auth` and `@requires` of Starlette by the site's login:

    from mergepoint.identity.adapters.starlette import IdentityBackend
    Middleware(AuthenticationMiddleware, backend=IdentityBackend())
    request.user.identity.may("tickets.edit"); @requires("role:admin"); @requires("tickets.edit")

Place:  Starlette, FastAPI -> [adapters.starlette] -> identity.finding
Rule:   scopes are the permissions as granted, `role:...`, `group:...` and `authenticated`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser

from mergepoint.identity import Identity, of

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection


class SiteUser(BaseUser):
    """A proven person or service as Starlette wants a user."""

    def __init__(self, identity: Identity) -> None:
        self.site_identity = identity

    @property
    def is_authenticated(self) -> bool:
        """Tell that somebody is proven; for nobody Starlette has a user of its own."""
        return True

    @property
    def display_name(self) -> str:
        """Return the full name, or the login name when none is known."""
        return self.site_identity.name or self.site_identity.user

    @property
    def identity(self) -> str:
        """Return the stable id, as Starlette's BaseUser promises."""
        return self.site_identity.sub


class IdentityBackend(AuthenticationBackend):
    """Tells Starlette's AuthenticationMiddleware who asks."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """Return scopes and user of a proven identity, None for nobody."""
        found = of(conn)
        return None if found.anonymous else (AuthCredentials(scopes(found)), SiteUser(found))


def scopes(identity: Identity) -> list[str]:
    """Return Starlette's scopes of an identity; Starlette compares them letter by letter."""
    roles = [f"role:{name}" for name in identity.roles]
    groups = [f"group:{name}" for name in identity.groups]
    return ["authenticated", *identity.permissions, *roles, *groups]
