"""New accounts and forgotten passwords: registration, one-time links, asking for a link.

Place:  pages.wiring -> [pages.joining] -> service.joining, service.logins
Rule:   a link is used up by the POST, never by the GET: programs that read mail open links too.
"""

from __future__ import annotations

from flask import Response, request, url_for

from mergepoint.identity.accounts.config import Register
from mergepoint.identity.accounts.pages.door import Door
from mergepoint.identity.accounts.pages.forms import Form, note_faults, waiting
from mergepoint.identity.accounts.pages.login import LoginPages
from mergepoint.identity.accounts.pages.routes import Needs, Route
from mergepoint.identity.accounts.service.errors import Refused, unknown
from mergepoint.identity.accounts.service.links import LinkInfo, Purpose
from mergepoint.identity.accounts.service.person import Person

LETTER_AGAIN_S = 60.0
"""Nobody's letter box is filled by whoever knows their name: one letter a minute for a person."""
KINDS = {Purpose.INVITE: "invite", Purpose.FIRST_ADMINISTRATOR: "first"}


class JoiningPages:
    """The way in for the first time, or again."""

    def __init__(self, door: Door, login: LoginPages) -> None:
        self._door = door
        self._login = login

    def routes(self) -> list[Route]:
        """Return the pages of this group."""
        both, nobody = ("GET", "POST"), Needs.NOBODY
        return [
            Route("/register", "register", self.register, both, nobody),
            Route("/link/<secret>", "link", self.link, both, nobody),
            Route("/forgot", "forgot", self.forgot, both, nobody),
        ]

    def register(self) -> Response:
        """Make an account, where everybody may."""
        door = self._door
        if door.settings.register is not Register.OPEN:
            raise unknown("page")
        after = door.after_login(request.values.get("next"))
        form = self._new_form(None)
        if request.method == "POST" and form.ok:
            try:
                person = door.service.joining.register(
                    form.get("user"), form.secret("password"), door.caller, **self._about(form)
                )
                self._prove(person, form)
                return self._enter(person, after)
            except Refused as refused:
                form.refuse(refused)
        return self._asked(form, "register", url_for("accounts.register"), after)

    def link(self, secret: str) -> Response:
        """Show what a one-time link is for, and do it."""
        door = self._door
        link = door.service.links.read(secret)
        if link is None:
            return self._ended()
        if link.purpose is Purpose.RESET:
            return self._reset(secret, link)
        if link.purpose is Purpose.ADDRESS:
            return self._address(secret, link)
        form = self._new_form(link)
        if request.method == "POST" and form.ok:
            try:
                return self._accepted(secret, form)
            except Refused as refused:
                if refused.reason == "link":
                    return self._ended()
                form.refuse(refused)
        action = url_for("accounts.link", secret=secret)
        return self._asked(form, KINDS[link.purpose], action, "")

    def _accepted(self, secret: str, form: Form) -> Response:
        door = self._door
        password = form.secret("password") if door.settings.passwords else None
        person = door.service.joining.accept(
            secret, form.get("user"), password, door.caller, **self._about(form)
        )
        self._prove(person, form)
        if password is not None:
            return self._enter(person, url_for("accounts.start"))
        step = door.service.logins.proven(person.sub, ("link",), door.caller, door.browser)
        door.give_cookies(step.set_cookie)
        return door.send("accounts.security")

    def _reset(self, secret: str, link: LinkInfo) -> Response:
        door = self._door
        person = door.service.people.get(link.sub or "")
        if person is None or person.disabled:
            return self._ended()
        form = Form.sent(door.say, request.form)
        if request.method == "POST":
            form.require("password", "field.new_password")
        if request.method == "POST" and form.ok:
            note_faults(door.service, door.settings, form, person)
        if request.method == "POST" and form.ok:
            try:
                door.service.joining.reset(secret, form.secret("password"), door.caller)
                return self._enter(person, url_for("accounts.start"))
            except Refused:
                return self._ended()
        action = url_for("accounts.link", secret=secret)
        status = 200 if form.ok else 422
        return door.page("reset.html", status, form=form, person=person, action=action)

    def _address(self, secret: str, link: LinkInfo) -> Response:
        """Ask, then take the address a letter was sent to as the person's own."""
        door = self._door
        person = door.service.people.get(link.sub or "")
        if person is None or person.disabled:
            return self._ended()
        if request.method == "POST":
            try:
                door.service.joining.prove_address(secret, door.caller)
            except Refused:
                return self._ended()
            onward = url_for("accounts.profile")
            return door.message("address.done", 200, onward=onward, email=link.detail["email"])
        action = url_for("accounts.link", secret=secret)
        return door.page("address.html", person=person, email=link.detail["email"], action=action)

    def forgot(self) -> Response:
        """Take a request for a new password; the answer never says whether somebody was found."""
        door = self._door
        form = Form.sent(door.say, request.form)
        if request.method == "GET":
            return door.page("forgot.html", form=form, sent=False)
        form.require("user", "field.user_or_email")
        if form.ok:
            wait_s = door.too_often("forgot")
            if wait_s > 0:
                form.fail("", "error.tries", wait=waiting(door.say, wait_s))
                return door.page("forgot.html", 429, form=form, sent=False)
            self._send_link(form.get("user"))
        return door.page("forgot.html", 200 if form.ok else 422, form=form, sent=form.ok)

    def _send_link(self, user: str) -> None:
        door = self._door
        person = door.service.people.find_login(user.lower())
        if person is None or person.disabled or person.kind != "person":
            return
        waiting_links = door.service.links.open_links(Purpose.RESET)
        if any(link.sub == person.sub and link.created_by for link in waiting_links):
            return  # an administrator's link must not be taken away by anybody who asks
        if door.settings.mail and is_new(waiting_links, person.sub, door.clock.unix_s()):
            return
        issued = door.service.joining.reset_link(person.sub, door.caller)
        door.deliver(issued, person.email, person)

    def _prove(self, person: Person, form: Form) -> None:
        """Send a letter to the address that was typed, where it does not count yet."""
        door, email = self._door, form.get("email").strip()
        if email and not person.email:
            door.deliver(
                door.service.joining.address_link(person.sub, email, door.caller), email, person
            )

    def _enter(self, person: Person, after: str) -> Response:
        """Log somebody in whose password was set just now; a second factor still counts."""
        door = self._door
        step = door.service.logins.after_password(person, door.caller, door.browser)
        return self._login.follow(step, after) or door.send("accounts.login")

    def _new_form(self, link: LinkInfo | None) -> Form:
        """Return the form for a new account; filled from the invitation, or checked as sent."""
        door = self._door
        if request.method == "GET":
            known = link.detail if link else {}
            values = {name: str(known.get(name) or "") for name in ("email", "name")}
            return Form(door.say, values)
        form = Form.sent(door.say, request.form)
        form.require("user", "field.user")
        if door.settings.passwords:
            form.require("password", "field.new_password")
            if form.ok:
                note_faults(door.service, door.settings, form)
        return form

    def _about(self, form: Form) -> dict[str, str]:
        return {"name": form.get("name"), "email": form.get("email"), "lang": self._door.say.lang}

    def _asked(self, form: Form, kind: str, action: str, after: str) -> Response:
        status = 200 if form.ok else 422
        return self._door.page(
            "register.html", status, form=form, kind=kind, action=action, next=after
        )

    def _ended(self) -> Response:
        return self._door.message("link.ended", 410, onward=url_for("accounts.login"))


def is_new(links: list[LinkInfo], sub: str, now_s: float) -> bool:
    """Tell whether one of these was made for this person a moment ago."""
    return any(link.sub == sub and link.created_at > now_s - LETTER_AGAIN_S for link in links)
