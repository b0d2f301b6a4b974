"""An account elsewhere that waits to be connected with the one here, until that one is proven.

Place:  pages.login, pages.provider -> [pages.linking] -> service.providers, service.attempts
Rule:   never by email address; only after a full login in the same browser that began as linking.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from flask import Response, url_for

from mergepoint.identity.accounts.config import Provider
from mergepoint.identity.accounts.pages import attempt_cookie
from mergepoint.identity.accounts.pages.destination import own_path
from mergepoint.identity.accounts.pages.door import Door
from mergepoint.identity.accounts.pages.oidc import Visitor
from mergepoint.identity.accounts.service.errors import Refused
from mergepoint.identity.accounts.service.person import Person

PURPOSE = "provider.link"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody of a provider who is to prove an account here."""

    provider: Provider
    visitor: Visitor
    after: str

    @property
    def title(self) -> str:
        """Return what people call the provider."""
        return self.provider.title or self.provider.name

    @property
    def known_as(self) -> str:
        """Return who the provider says they are."""
        return self.visitor.email or self.visitor.name or self.visitor.user or self.visitor.subject


class Linking:
    """Begins, remembers and finishes a connection."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def begin(self, visitor: Visitor, after: str) -> Response:
        """Remember the visitor and ask for the account here."""
        door = self._door
        detail: dict[str, Any] = {"visitor": asdict(visitor), "after": after}
        secret = door.service.attempts.begin(PURPOSE, door.caller, detail=detail)
        onward = door.send_to(url_for("accounts.provider_link"))
        return attempt_cookie.write(onward, attempt_cookie.LINK, secret)

    def waiting(self) -> Waiting | None:
        """Return who waits in this browser, None when nobody does (any more)."""
        secret = attempt_cookie.read(attempt_cookie.LINK)
        begun = self._door.service.attempts.read(secret, PURPOSE) if secret else None
        if begun is None:
            return None
        told = dict(begun.detail["visitor"])
        visitor = Visitor(**{**told, "groups": tuple(told["groups"])})
        provider = self._door.settings.provider(visitor.provider)
        after = own_path(begun.detail["after"], url_for("accounts.start"))
        return Waiting(provider, visitor, after) if provider else None

    def finish(self, person: Person, after: str) -> Response:
        """Connect whoever waits with `person`, who is logged in by now."""
        door, found = self._door, self.waiting()
        onward = door.send_to(after)
        if found is None:
            return onward
        door.service.attempts.finish(attempt_cookie.read(attempt_cookie.LINK), PURPOSE, door.caller)
        try:
            connect(door, person.sub, found.provider, found.visitor)
        except Refused:
            onward = door.message("provider.taken", 409, onward=after, provider=found.title)
        return attempt_cookie.clear(onward, attempt_cookie.LINK)


def connect(door: Door, sub: str, provider: Provider, visitor: Visitor) -> None:
    """Connect an account elsewhere with a person; raise `Refused` when it is somebody else's."""
    door.service.providers.link(sub, provider, visitor.subject, door.caller, email=visitor.email)
    arrive(door, provider, visitor)


def arrive(door: Door, provider: Provider, visitor: Visitor) -> Person:
    """Return whose account here this is, with the roles the provider's groups give now."""
    return door.service.providers.arrive(
        provider,
        visitor.subject,
        door.caller,
        email=visitor.email,
        name=visitor.name,
        user=visitor.user,
        groups=visitor.groups,
    )
