"""Administration of services: programs with an identity of their own, and their tokens.

Place:  pages.wiring -> [pages.services] -> service.people, service.tokens
Rule:   only for administrators; a service never has a password.
"""

from __future__ import annotations

from flask import Response, request, url_for

from mergepoint.identity.accounts.pages.door import Door
from mergepoint.identity.accounts.pages.forms import Form
from mergepoint.identity.accounts.pages.people import admin
from mergepoint.identity.accounts.pages.routes import Route
from mergepoint.identity.accounts.pages.tokens import create, empty_form, listed, token_form
from mergepoint.identity.accounts.service.errors import Refused, unknown
from mergepoint.identity.accounts.service.person import SERVICE, Person

SERVICES_MAX = 500


class ServicePages:
    """The services of the site, for administrators."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[Route]:
        """Return the pages of this group."""
        one = "/admin/services/<sub>"
        return [
            admin("/admin/services", "services", self.services, "GET", "POST"),
            admin(one, "service", self.service, "GET", "POST"),
            admin(f"{one}/tokens/<token>/revoke", "service_token_revoke", self.revoke, "POST"),
        ]

    def services(self) -> Response:
        """Show the services and make another."""
        door = self._door
        form = Form(door.say)
        if request.method == "POST":
            form = Form.sent(door.say, request.form, many=("roles",))
            if made := self._make(form):
                return door.send("accounts.service", "saved", sub=made.sub)
        return door.page(
            "services.html",
            200 if form.ok else 422,
            form=form,
            services=door.service.people.search(limit=SERVICES_MAX, kind=SERVICE),
            all_roles=sorted(door.settings.roles),
        )

    def _make(self, form: Form) -> Person | None:
        door = self._door
        form.require("user", "field.service")
        if not form.ok:
            return None
        try:
            return door.service.people.add(
                form.get("user"),
                door.caller,
                name=form.get("name"),
                kind=SERVICE,
                roles=form.chosen["roles"],
            )
        except Refused as refused:
            form.refuse(refused)
            return None

    def service(self, sub: str) -> Response:
        """Show one service and make another token for it."""
        door, owner = self._door, self._found(sub)
        form = token_form(door)
        made = create(door, form, owner) if request.method == "POST" else None
        return door.page(
            "service.html",
            200 if form.ok else 422,
            service=owner,
            form=form if made is None else empty_form(door),
            made=made,
            all_roles=sorted(door.settings.roles),
            **listed(door, owner),
            token_revoke_url=lambda token: url_for(
                "accounts.service_token_revoke", sub=sub, token=token
            ),
        )

    def revoke(self, sub: str, token: str) -> Response:
        """End one token of a service."""
        door = self._door
        door.service.tokens.revoke(token, door.caller, sub=self._found(sub).sub)
        return door.send("accounts.service", "revoked", sub=sub)

    def _found(self, sub: str) -> Person:
        found = self._door.service.people.get(sub)
        if found is None or found.kind != SERVICE:
            raise unknown("service")
        return found
