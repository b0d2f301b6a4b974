"""Logging in and out: name and password, the second step, the way back.

Place:  pages.wiring -> [pages.login] -> service.logins, service.sessions
Rule:   the password's answer never tells whether the account exists; `next` is a path of this site.
"""

from __future__ import annotations

from typing import Any

from flask import Response, request, url_for

from mergepoint.identity.accounts.pages import attempt_cookie
from mergepoint.identity.accounts.pages.door import Door
from mergepoint.identity.accounts.pages.enrol import EnrolPages
from mergepoint.identity.accounts.pages.forms import Form, waiting
from mergepoint.identity.accounts.pages.linking import Linking
from mergepoint.identity.accounts.pages.routes import Needs, Route
from mergepoint.identity.accounts.service.logins import Status, Step
from mergepoint.identity.accounts.service.sessions import Started


class LoginPages:
    """The way in and the way out."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._linking = Linking(door)
        self._enrol = EnrolPages(door)

    def routes(self) -> list[Route]:
        """Return the pages of this group."""
        both, nobody = ("GET", "POST"), Needs.NOBODY
        return [
            Route("/login", "login", self.login, both, nobody),
            Route("/login/second", "second", self.second, both, nobody),
            Route("/login/enrol", "enrol", self.enrol, both, nobody),
            Route("/login/link", "provider_link", self.link, both, nobody),
            Route("/logout", "logout", self.logout, both, nobody),
        ]

    def login(self) -> Response:
        """Ask for name and password, or offer another way."""
        door = self._door
        after = door.after_login(request.values.get("next"))
        if request.method == "GET":
            if door.who is not None:
                door.give(door.service.sessions.refresh(door.refresh_cookie, door.caller))
                return door.page("already.html", next=after)
            return self._asked(Form(door.say), after)
        form = Form.sent(door.say, request.form)
        form.require("user", "field.user_or_email")
        form.require("password", "field.password")
        if not door.settings.passwords or not form.ok:
            return self._asked(form, after, 422)
        step = door.service.logins.password(
            form.get("user"), form.secret("password"), door.caller, door.browser
        )
        return self.follow(step, after) or self._refused(step, form, after)

    def follow(self, step: Step, after: str, *, linking: bool = False) -> Response | None:
        """Return where a try leads; None when it leads nowhere and the form is shown again."""
        door = self._door
        if step.status is Status.IN:
            door.give_cookies(step.set_cookie)
            door.caller.sub, door.caller.user = _who(step.started)
            if linking and step.started is not None:
                return self._linking.finish(step.started.person, after)
            return attempt_cookie.clear(door.send_to(after), attempt_cookie.LOGIN)
        onward = {Status.FACTOR: "second", Status.ENROL: "enrol"}.get(step.status)
        if onward is None:
            return None
        address = url_for(f"accounts.{onward}", next=after, link=1 if linking else None)
        return attempt_cookie.write(door.send_to(address), attempt_cookie.LOGIN, step.attempt)

    def _asked(self, form: Form, after: str, status: int = 200) -> Response:
        return self._door.page("login.html", status, form=form, next=after)

    def _refused(self, step: Step, form: Form, after: str) -> Response:
        status = note_refusal(form, step, "password", "error.login")
        return self._asked(form, after, status)

    def second(self) -> Response:
        """Ask for the second factor of a login whose password was right."""
        door = self._door
        secret = attempt_cookie.read(attempt_cookie.LOGIN)
        begun = door.service.logins.begun(secret) if secret else None
        after = door.after_login(request.values.get("next"))
        if begun is None or begun.sub is None:
            return self._expired(after)
        form = Form.sent(door.say, request.form) if request.method == "POST" else Form(door.say)
        shown: dict[str, Any] = {
            "next": after,
            "link": request.values.get("link", ""),
            "have": door.service.factors.of(begun.sub),
            "recovery": request.values.get("way") == "recovery",
        }
        if request.method == "GET":
            return door.page("second.html", form=form, **shown)
        step = door.service.logins.code(secret, form.secret("code"), door.caller, door.browser)
        if step.status is Status.OVER:
            return self._expired(after)
        followed = self.follow(step, after, linking=bool(shown["link"]))
        if followed is not None:
            return followed
        wrong = "error.recovery_code" if shown["recovery"] else "error.code"
        status = note_refusal(form, step, "code", wrong)
        return door.page("second.html", status, form=form, **shown)

    def enrol(self) -> Response:
        """Set up a second factor before the first login, where the site asks for one."""
        after = self._door.after_login(request.values.get("next"))
        return self._enrol.enrol(after) or self._expired(after)

    def link(self) -> Response:
        """Ask somebody from a provider to prove the account here that shall be connected."""
        door, waiting_link = self._door, self._linking.waiting()
        if waiting_link is None:
            return self._expired(door.after_login(None))
        form = Form.sent(door.say, request.form) if request.method == "POST" else Form(door.say)
        status = 200
        if request.method == "POST":
            form.require("user", "field.user_or_email")
            form.require("password", "field.password")
            status = 422
        if request.method == "POST" and form.ok:
            step = door.service.logins.password(
                form.get("user"), form.secret("password"), door.caller, door.browser
            )
            followed = self.follow(step, waiting_link.after, linking=True)
            if followed is not None:
                return followed
            status = note_refusal(form, step, "password", "error.login")
        return door.page("link_account.html", status, form=form, visitor=waiting_link)

    def _expired(self, after: str) -> Response:
        form = Form(self._door.say)
        form.fail("", "error.expired")
        return attempt_cookie.clear(self._asked(form, after, 422), attempt_cookie.LOGIN)

    def logout(self) -> Response:
        """Ask before a GET logs out; end the session on POST."""
        door = self._door
        if request.method == "GET":
            return door.page("logout.html")
        if door.who is not None:
            door.service.sessions.end(door.who.session.sid, door.caller)
        door.give_cookies(door.service.sessions.ended_cookies(door.caller))
        return door.send("accounts.logout")


def note_refusal(form: Form, step: Step, field: str, wrong: str) -> int:
    """Write into the form why a try was refused; return the status of the answer."""
    if step.status is Status.WAIT:
        form.fail("", "error.tries", wait=waiting(form.say, step.retry_after_s))
        return 429
    form.fail(field, wrong)
    return 422


def _who(started: Started | None) -> tuple[str, str]:
    return (started.person.sub, started.person.user) if started else ("", "")
