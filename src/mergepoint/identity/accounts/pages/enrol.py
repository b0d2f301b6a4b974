"""Setting up an authenticator before the first login, where the site asks everybody for one.

Place:  pages.login -> [pages.enrol] -> service.factors, service.logins
Rule:   the password was right but nobody is logged in yet; the session begins with the first code.
"""

from __future__ import annotations

from flask import Response, request

from mergepoint.identity.accounts.pages import attempt_cookie
from mergepoint.identity.accounts.pages.door import Door
from mergepoint.identity.accounts.pages.drawing import drawn
from mergepoint.identity.accounts.pages.forms import Form
from mergepoint.identity.accounts.service.logins import Status


class EnrolPages:
    """The second factor that comes before the first session."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def enrol(self, after: str) -> Response | None:
        """Show the QR code, take the first code, show recovery codes; None: nothing was begun."""
        door = self._door
        secret = attempt_cookie.read(attempt_cookie.LOGIN)
        begun = door.service.logins.begun(secret) if secret else None
        if begun is None or begun.sub is None or door.service.factors.of(begun.sub).any:
            return None
        form = Form(door.say)
        if request.method == "POST":
            form = Form.sent(door.say, request.form)
            if door.service.factors.confirm_totp(begun.sub, form.secret("code"), door.caller):
                return self._finished(secret, begun.sub, after)
            if door.service.attempts.fail(secret, door.caller) == 0:
                return None
            form.fail("code", "error.code")
        new = door.service.factors.pending_totp(begun.sub)
        new = new or door.service.factors.begin_totp(begun.sub, door.caller)
        status = 200 if form.ok else 422
        return door.page("enrol.html", status, form=form, next=after, **drawn(new))

    def _finished(self, secret: str, sub: str, after: str) -> Response | None:
        door = self._door
        step = door.service.logins.complete(secret, ["otp", "mfa"], door.caller, door.browser)
        if step.status is not Status.IN:
            return None
        door.give_cookies(step.set_cookie)
        codes = door.service.factors.make_recovery(sub, door.caller)
        response = door.page("enrolled.html", codes=codes, next=after)
        return attempt_cookie.clear(response, attempt_cookie.LOGIN)
