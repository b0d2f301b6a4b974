"""Proving again who one is, before something sensitive.

Place:  pages.wiring -> [pages.proof] -> service.logins
Rule:   what was sent waits inside the page and is sent again with the proof; passwords never wait.
"""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify, request, url_for

from mergepoint.identity.accounts.pages.destination import own_path
from mergepoint.identity.accounts.pages.door import Door
from mergepoint.identity.accounts.pages.forms import SECRETS, VALUE_MAX, Form
from mergepoint.identity.accounts.pages.login import note_refusal
from mergepoint.identity.accounts.pages.routes import Route

PROOF = "proof_password"
HELD_MAX = 300
"""Fields of a form that wait; a form of ours has far fewer."""


class ProofPages:
    """Asks again who somebody is."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[Route]:
        """Return the pages of this group."""
        return [Route("/prove", "prove", self.prove, ("GET", "POST"))]

    def prove(self) -> Response:
        """Ask, then go on to ``next``."""
        door = self._door
        after = own_path(request.values.get("next"), url_for("accounts.security"))
        if request.method == "POST" and (refused := self._check(after)):
            return refused
        if request.method == "POST" or door.is_recent():
            return door.send_to(after)
        return self._asked(Form(door.say), after)

    def demand(self, route: Route) -> Response | None:
        """Return the page that asks, None when the proof is fresh or came with this request."""
        door = self._door
        if request.method not in route.recent or door.is_recent():
            return None
        after = request.full_path.rstrip("?") if "GET" in route.methods else ""
        after = f"{request.script_root}{after}" if after else self._section()
        if request.is_json:
            response = jsonify(code="accounts.proof", prove=True)
            response.status_code = 403
            return response
        if request.method == "GET":
            return door.send("accounts.prove", next=after)
        return self._check(after)

    def _check(self, after: str) -> Response | None:
        """Return the page again unless the password in the request is right."""
        door, me = self._door, self._door.me
        form = Form.sent(door.say, request.form)
        if PROOF not in request.form and request.endpoint != "accounts.prove":
            return self._asked(Form(door.say), after)
        form.require(PROOF, "field.password")
        if not form.ok:
            return self._asked(form, after)
        step = door.service.logins.again(
            me.session.sid, me.person.sub, form.secret(PROOF), door.caller, door.browser
        )
        if step.started is None:
            return self._asked(form, after, note_refusal(form, step, PROOF, "error.password"))
        door.take(step.started)
        return None

    def _asked(self, form: Form, after: str, status: int = 403) -> Response:
        door, person = self._door, self._door.me.person
        have = door.factors_of(person)
        linked = {link.provider for link in door.service.providers.of(person.sub)}
        ways = {
            "password": "password" in have,
            "passkey": "passkey" in have and door.offers_passkeys,
            "providers": [p for p in door.settings.providers if p.name in linked],
        }
        return door.page(
            "prove.html",
            status if request.method == "POST" else 200,
            form=form,
            ways=ways,
            held=_held(after),
            action=f"{request.script_root}{request.path}",
            after=after,
        )

    def _section(self) -> str:
        """Return the page to come back to where the address itself cannot be opened."""
        endpoint = str(request.endpoint).removeprefix("accounts.")
        arguments: dict[str, Any] = request.view_args or {}
        if endpoint.startswith("person_"):
            return url_for("accounts.person", sub=arguments["sub"])
        if endpoint.startswith("service_"):
            return url_for("accounts.service", sub=arguments["sub"])
        return url_for("accounts.security")


def _held(after: str) -> list[tuple[str, str]]:
    """Return the fields of the form that waits; what is secret is typed again."""
    if request.endpoint == "accounts.prove":
        return [("next", after)]
    sent = [(name, value) for name in request.form for value in request.form.getlist(name)]
    return [(n, v[:VALUE_MAX]) for n, v in sent[:HELD_MAX] if n not in SECRETS and n != PROOF]
