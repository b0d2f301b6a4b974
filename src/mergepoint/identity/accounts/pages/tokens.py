"""API tokens: one's own, and the parts that administration uses for services.

Place:  pages.wiring, pages.services -> [pages.tokens] -> service.tokens
Rule:   a token is shown in the answer to the form that made it and never again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response, request, url_for

from mergepoint.identity.accounts.pages.door import Door
from mergepoint.identity.accounts.pages.forms import Form
from mergepoint.identity.accounts.pages.language import Speech
from mergepoint.identity.accounts.pages.routes import Route
from mergepoint.identity.accounts.service.claims import ROLE_SCOPE, permissions_of
from mergepoint.identity.accounts.service.errors import Refused
from mergepoint.identity.accounts.service.person import Person
from mergepoint.identity.accounts.service.tokens import NewToken, TokenInfo

DAY_S = 86400.0
DAYS = (30, 90, 365)
DAYS_USUAL = 90
FOREVER = "forever"


class TokenPages:
    """One's own API tokens."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[Route]:
        """Return the pages of this group."""
        recent = ("POST",)
        return [
            Route("/tokens", "tokens", self.tokens, ("GET", "POST"), recent=recent),
            Route("/tokens/<token>/revoke", "token_revoke", self.revoke, ("POST",)),
        ]

    def tokens(self) -> Response:
        """Show one's tokens and make another."""
        door, person = self._door, self._door.me.person
        form = token_form(door)
        made = create(door, form, person) if request.method == "POST" else None
        return door.page(
            "tokens.html",
            200 if form.ok else 422,
            form=form if made is None else empty_form(door),
            made=made,
            **listed(door, person),
            token_revoke_url=lambda token: url_for("accounts.token_revoke", token=token),
        )

    def revoke(self, token: str) -> Response:
        """End one of one's own tokens."""
        door = self._door
        door.service.tokens.revoke(token, door.caller, sub=door.me.person.sub)
        return door.send("accounts.tokens", "revoked")


def token_form(door: Door) -> Form:
    """Return the form for another token, empty before it was sent."""
    if request.method == "POST":
        return Form.sent(door.say, request.form, many=("scopes",))
    return empty_form(door)


def empty_form(door: Door) -> Form:
    """Return the form as it is before anything was typed."""
    return Form(door.say, {"life": str(DAYS_USUAL)})


def create(door: Door, form: Form, owner: Person) -> NewToken | None:
    """Make a token for `owner`; None with errors in the form when something is wrong."""
    form.require("label", "field.label")
    lives = {str(days): days * DAY_S for days in DAYS}
    if form.get("life") not in {*lives, FOREVER}:
        form.fail("life", "error.choice")
    if not form.ok:
        return None
    try:
        return door.service.tokens.create(
            owner.sub,
            form.get("label"),
            door.caller,
            scopes=form.chosen["scopes"] or None,
            life_s=lives.get(form.get("life")),
        )
    except Refused as refused:
        form.refuse(refused, name="label")
        return None


def listed(door: Door, owner: Person) -> dict[str, Any]:
    """Return what the templates show of somebody's tokens."""
    now = door.clock.unix_s()
    return {
        "tokens": [_shown(token, now) for token in door.service.tokens.of(owner.sub)],
        "scopes": scopes_of(door, owner),
        "lives": lives_shown(door.say),
    }


def scopes_of(door: Door, owner: Person) -> tuple[str, ...]:
    """Return what a token of `owner` can be limited to: permissions and roles, never ``*``."""
    held = permissions_of(door.settings.roles, owner.roles)
    everything = {p for granted in door.settings.roles.values() for p in granted}
    offered = everything if "*" in held else held
    return (*sorted(offered - {"*"}), *(f"{ROLE_SCOPE}{role}" for role in owner.roles))


def lives_shown(say: Speech) -> Sequence[tuple[str, str]]:
    """Return how long a token may live, in words."""
    days = [(str(d), say("tokens.year" if d == 365 else "tokens.days", count=d)) for d in DAYS]
    return [*days, (FOREVER, say("tokens.forever"))]


def _shown(token: TokenInfo, now: float) -> dict[str, Any]:
    expired = token.expires_at is not None and token.expires_at <= now
    return {
        "id": token.id,
        "label": token.name,
        "scopes": token.scopes or (),
        "expires": token.expires_at,
        "used": token.used_at,
        "state": "expired" if expired else "live",
    }
