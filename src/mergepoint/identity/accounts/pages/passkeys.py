"""Passkeys: add, rename, remove, log in with one, prove again with one. Spoken to by passkey.js.

Place:  pages.wiring -> [pages.passkeys] -> pages.ceremony, service.logins
Rule:   answers are JSON; a refusal says nothing about which account or credential exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, jsonify, request, url_for

from mergepoint.identity.accounts.pages import attempt_cookie
from mergepoint.identity.accounts.pages.ceremony import LOGIN, PROVE, SECOND, Ceremony
from mergepoint.identity.accounts.pages.device import device
from mergepoint.identity.accounts.pages.door import Door
from mergepoint.identity.accounts.pages.forms import Form, waiting
from mergepoint.identity.accounts.pages.linking import Linking
from mergepoint.identity.accounts.pages.routes import Needs, Route
from mergepoint.identity.accounts.service.errors import Refused, unknown
from mergepoint.identity.accounts.service.logins import Status
from mergepoint.identity.accounts.service.person import Person

AMR = ("hwk", "user", "mfa")
"""A passkey is possession and, as we always ask for verification, a second factor (RFC 8176)."""


class PasskeyPages:
    """The passkeys of a person, and what is done with them."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._linking = Linking(door)
        service = door.service
        self._ceremony = Ceremony(door.settings, service.attempts, service.passkeys)

    def routes(self) -> list[Route]:
        """Return the pages of this group; none where there can be no passkeys."""
        if not self._door.offers_passkeys:
            return []
        post, own = ("POST",), "/security/passkeys"
        nobody = Needs.NOBODY
        return [
            Route("/login/passkey/options", "passkey_login_options", self.ask, post, nobody),
            Route("/login/passkey", "passkey_login", self.log_in, post, nobody),
            Route(
                "/login/second/passkey/options",
                "passkey_second_options",
                self.ask_second,
                post,
                nobody,
            ),
            Route("/login/second/passkey", "passkey_second", self.second, post, nobody),
            Route("/prove/passkey/options", "passkey_proof_options", self.ask_again, post),
            Route("/prove/passkey", "passkey_proof", self.prove, post),
            Route(f"{own}/options", "passkey_add_options", self.begin, post, recent=post),
            Route(own, "passkey_add", self.add, post, recent=post),
            Route(f"{own}/<passkey>/rename", "passkey_rename", self.rename, post),
            Route(f"{own}/<passkey>/remove", "passkey_remove", self.remove, post, recent=post),
        ]

    def ask(self) -> Response:
        """Begin a login: any passkey of this site will do."""
        wait_s = self._door.too_often("passkey")
        if wait_s > 0:
            say = self._door.say
            response = jsonify(message=say("error.tries", wait=waiting(say, wait_s)))
            response.status_code = 429
            return response
        return jsonify(self._ceremony.begin_use(LOGIN, self._door.caller))

    def log_in(self) -> Response:
        """Log in whoever the passkey belongs to."""
        door, sent = self._door, _json()
        try:
            sub = self._ceremony.finish_use(LOGIN, sent, door.caller)
            step = door.service.logins.proven(sub, AMR, door.caller, door.browser)
        except Refused:
            return self._refused()
        if step.status is not Status.IN:
            return self._refused()
        door.give_cookies(step.set_cookie)
        return jsonify(next=door.after_login(str(sent.get("next", ""))))

    def ask_second(self) -> Response:
        """Begin the second step of a login, with a passkey of the one whose password was right."""
        person = self._second_person()
        if person is None:
            return self._refused()
        return jsonify(self._ceremony.begin_use(SECOND, self._door.caller, person))

    def second(self) -> Response:
        """Finish a login by a passkey of the same person."""
        door, sent, person = self._door, _json(), self._second_person()
        try:
            sub = self._ceremony.finish_use(SECOND, sent, door.caller)
        except Refused:
            return self._refused()
        if person is None or person.sub != sub:
            return self._refused()
        secret = attempt_cookie.read(attempt_cookie.LOGIN)
        step = door.service.logins.complete(secret, AMR, door.caller, door.browser)
        if step.started is None:
            return self._refused()
        door.give_cookies(step.set_cookie)
        after = door.after_login(str(sent.get("next", "")))
        if sent.get("link"):
            after = self._linking.finish(step.started.person, after).location or after
        return attempt_cookie.clear(jsonify(next=after), attempt_cookie.LOGIN)

    def _second_person(self) -> Person | None:
        door, secret = self._door, attempt_cookie.read(attempt_cookie.LOGIN)
        begun = door.service.logins.begun(secret) if secret else None
        return door.service.people.get(begun.sub) if begun and begun.sub else None

    def ask_again(self) -> Response:
        """Begin a proof that one is still there."""
        door = self._door
        return jsonify(self._ceremony.begin_use(PROVE, door.caller, door.me.person))

    def prove(self) -> Response:
        """Renew the session's proof by a passkey of the one who is logged in."""
        door = self._door
        try:
            self._ceremony.finish_use(PROVE, _json(), door.caller)
        except Refused:
            return self._refused()
        door.renew(AMR)
        return jsonify(next=url_for("accounts.start"))

    def begin(self) -> Response:
        """Begin to make a passkey."""
        return jsonify(self._ceremony.begin_add(self._door.me.person, self._door.caller))

    def add(self) -> Response:
        """Keep the passkey that was made, named after the device that made it."""
        door = self._door
        name = device(request.user_agent.string, door.say).name
        try:
            self._ceremony.finish_add(door.me.person, _json(), name, door.caller)
        except Refused:
            return self._refused()
        return jsonify(next=url_for("accounts.security", said="passkey_added"))

    def rename(self, passkey: str) -> Response:
        """Give one's passkey another name."""
        door = self._door
        form = Form.sent(door.say, request.form)
        name = form.get("name")[:64] or door.say("passkeys.fallback_name")
        door.service.passkeys.rename(passkey, name, door.caller, sub=door.me.person.sub)
        return door.send("accounts.security", "passkey_renamed")

    def remove(self, passkey: str) -> Response:
        """Forget one's passkey, unless it is the last way in."""
        door, person = self._door, self._door.me.person
        known = door.service.passkeys.of(person.sub)
        if passkey not in {known_one.credential_id for known_one in known}:
            raise unknown("passkey")
        others = len(known) - 1 + len(door.service.providers.of(person.sub))
        if person.password_at is None and others < 1:
            return door.send("accounts.security", "last_way")
        door.service.passkeys.remove(passkey, door.caller, sub=person.sub)
        return door.send("accounts.security", "passkey_removed")

    def _refused(self) -> Response:
        response = jsonify(code="accounts.passkey", message=self._door.say("passkey.failed"))
        response.status_code = 403
        return response


def _json() -> Mapping[str, Any]:
    """Return the object that was sent, an empty one for anything else."""
    sent = request.get_json(silent=True)
    return sent if isinstance(sent, dict) else {}
