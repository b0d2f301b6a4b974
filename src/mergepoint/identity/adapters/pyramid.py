"""Pyramid: `request.authenticated_userid`, `permission=` of views and ACLs by the site's login:

    from mergepoint.identity.adapters.pyramid import IdentityPolicy
    config.set_security_policy(IdentityPolicy())          # in main(), before views are added
    @view_config(route_name="edit", permission="tickets.edit")

Place:  Pyramid -> [adapters.pyramid] -> identity.finding
Rule:   where an ACL stands on the way of the context it decides alone; else the site's roles do.
"""

from __future__ import annotations

from typing import Any

from pyramid.authorization import (  # type: ignore[import-untyped]
    ACLHelper,
    Authenticated,
    Everyone,
)
from pyramid.location import lineage  # type: ignore[import-untyped]
from pyramid.security import Allowed, Denied  # type: ignore[import-untyped]

from mergepoint.identity import Identity, of


def principals(identity: Identity) -> list[str]:
    """Return what an ACL may name: `user:ada`, `role:admin`, `group:team`, and Pyramid's own."""
    if identity.anonymous:
        return [Everyone]
    own = [identity.sub, f"user:{identity.user}"]
    roles = [f"role:{name}" for name in identity.roles]
    return [Everyone, Authenticated, *own, *roles, *(f"group:{name}" for name in identity.groups)]


class IdentityPolicy:
    """A security policy of Pyramid 2; `request.identity` is the Identity or None."""

    def identity(self, request: Any) -> Identity | None:
        """Return who asks, or None for nobody."""
        found = of(request)
        return None if found.anonymous else found

    def authenticated_userid(self, request: Any) -> str | None:
        """Return the name one logs in with, or None."""
        return of(request).user or None

    def permits(self, request: Any, context: Any, permission: str) -> Any:
        """Return Allowed or Denied: by the ACL of the context, or else by the site's roles."""
        identity = of(request)
        if any(getattr(place, "__acl__", None) is not None for place in lineage(context)):
            return ACLHelper().permits(context, principals(identity), permission)
        who = identity.user or "nobody"
        if identity.may(permission):
            return Allowed("the site grants %s to %s", permission, who)
        return Denied("the site does not grant %s to %s", permission, who)

    def remember(self, request: Any, userid: str, **kw: Any) -> list[Any]:  # noqa: ARG002
        """Return no headers: logging in is the site's affair."""
        return []

    def forget(self, request: Any, **kw: Any) -> list[Any]:  # noqa: ARG002
        """Return no headers: logging out is the site's affair."""
        return []
