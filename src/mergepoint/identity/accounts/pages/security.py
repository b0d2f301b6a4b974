"""How one proves who one is: password, authenticator app, recovery codes, other logins.

Place:  pages.wiring -> [pages.security] -> service.passwords, service.factors, service.providers
Rule:   every change needs a fresh proof, and nobody removes their last way in.
"""

from __future__ import annotations

from flask import Response, request, url_for

from mergepoint.identity.accounts.pages.door import Door
from mergepoint.identity.accounts.pages.drawing import drawn
from mergepoint.identity.accounts.pages.forms import Form, note_faults
from mergepoint.identity.accounts.pages.login import note_refusal
from mergepoint.identity.accounts.pages.routes import Route
from mergepoint.identity.accounts.service.errors import unknown


class SecurityPages:
    """One's own proofs."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[Route]:
        """Return the pages of this group."""
        both, post = ("GET", "POST"), ("POST",)
        off = "/security/linked/<name>/off"
        return [
            Route("/security", "security", self.security),
            Route("/security/password", "password", self.password, post),
            Route("/security/totp", "totp", self.totp, both, recent=both),
            Route("/security/totp/off", "totp_off", self.totp_off, post, recent=post),
            Route("/security/recovery", "recovery", self.recovery, post, recent=post),
            Route(off, "provider_unlink", self.unlink, post, recent=post),
        ]

    def security(self) -> Response:
        """Show every way one can prove who one is."""
        return self._shown(Form(self._door.say))

    def _shown(self, form: Form, status: int = 200) -> Response:
        door, person = self._door, self._door.me.person
        linked = {link.provider for link in door.service.providers.of(person.sub)}
        return door.page(
            "security.html",
            status,
            form=form,
            factors=door.service.factors.of(person.sub),
            has_password=person.password_at is not None,
            passkeys=door.service.passkeys.of(person.sub),
            linked=linked,
        )

    def password(self) -> Response:
        """Change one's password; every other session ends."""
        door, person = self._door, self._door.me.person
        if person.password_at is None and not door.is_recent():
            return door.send("accounts.prove", next=url_for("accounts.security"))
        form = Form.sent(door.say, request.form)
        form.require("password", "field.new_password")
        if person.password_at is not None:
            form.require("old", "field.old_password")
        if form.ok:
            note_faults(door.service, door.settings, form, person)
        status = 422
        if form.ok and person.password_at is not None:
            status = self._prove_old(form)
        if form.ok:
            keep, new = door.me.session.sid, form.secret("password")
            door.service.passwords.set(person.sub, new, door.caller, keep=keep)
            return door.send("accounts.security", "password")
        return self._shown(form, status)

    def _prove_old(self, form: Form) -> int:
        """Check the password of until now, which makes the proof of the session fresh."""
        door, me = self._door, self._door.me
        step = door.service.logins.again(
            me.session.sid, me.person.sub, form.secret("old"), door.caller, door.browser
        )
        if step.started is None:
            return note_refusal(form, step, "old", "error.password")
        door.take(step.started)
        return 200

    def totp(self) -> Response:
        """Show a new authenticator's QR code and switch it on by its first code."""
        door, sub = self._door, self._door.me.person.sub
        if door.service.factors.of(sub).totp:
            return door.send("accounts.security")
        form = Form(door.say)
        if request.method == "POST":
            form = Form.sent(door.say, request.form)
            if door.service.factors.confirm_totp(sub, form.secret("code"), door.caller):
                return self.recovery()
            form.fail("code", "error.code")
        new = door.service.factors.pending_totp(sub) if request.method == "POST" else None
        new = new or door.service.factors.begin_totp(sub, door.caller)
        return door.page("totp.html", 200 if form.ok else 422, form=form, **drawn(new))

    def totp_off(self) -> Response:
        """Switch the authenticator off."""
        door = self._door
        door.service.factors.remove_totp(door.me.person.sub, door.caller)
        return door.send("accounts.security", "totp_off")

    def recovery(self) -> Response:
        """Make recovery codes and show them, this once."""
        door, sub = self._door, self._door.me.person.sub
        if not door.service.factors.of(sub).totp:
            raise unknown("authenticator")
        return door.page(
            "recovery.html", codes=door.service.factors.make_recovery(sub, door.caller)
        )

    def unlink(self, name: str) -> Response:
        """Part one's account from one elsewhere, unless that is the last way in."""
        door, person = self._door, self._door.me.person
        links = door.service.providers.of(person.sub)
        theirs = [link for link in links if link.provider == name]
        if not theirs:
            raise unknown("link")
        other_ways = len(links) - len(theirs) + door.service.factors.of(person.sub).passkeys
        if person.password_at is None and other_ways < 1:
            form = Form(door.say)
            form.fail("", "error.last_way")
            return self._shown(form, 422)
        for link in theirs:
            door.service.providers.unlink(person.sub, name, link.subject, door.caller)
        return door.send("accounts.security", "unlinked")
