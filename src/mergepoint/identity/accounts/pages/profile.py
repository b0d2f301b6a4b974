"""One's own profile, the list of sessions, the choice of language, and who one is as JSON.

Place:  pages.wiring -> [pages.profile] -> service.people, service.sessions
Rule:   everybody sees and ends only what is their own.
"""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify, request, url_for

from mergepoint.identity.accounts.pages.destination import own_path
from mergepoint.identity.accounts.pages.device import device
from mergepoint.identity.accounts.pages.door import LANGUAGE_COOKIE, LANGUAGE_LIFE_S, Door, Who
from mergepoint.identity.accounts.pages.forms import Form
from mergepoint.identity.accounts.pages.joining import is_new
from mergepoint.identity.accounts.pages.language import LANGUAGES
from mergepoint.identity.accounts.pages.routes import Needs, Route
from mergepoint.identity.accounts.service.claims import permissions_of
from mergepoint.identity.accounts.service.errors import Refused
from mergepoint.identity.accounts.service.links import Purpose
from mergepoint.identity.accounts.service.person import Person, checked_email
from mergepoint.identity.accounts.service.sessions import SessionInfo

ENVIRON_KEY = "mergepoint.identity"
"""Where the host shim puts who asks; a header cannot reach it."""
TEXTS = ("sub", "kind", "user", "name", "email")
LISTS = ("roles", "groups", "permissions", "amr")


class ProfilePages:
    """Who one is and where one is logged in."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[Route]:
        """Return the pages of this group."""
        post = ("POST",)
        return [
            Route("/", "start", self.start),
            Route("/profile", "profile", self.profile, ("GET", "POST")),
            Route("/sessions", "sessions", self.sessions),
            Route("/sessions/end-others", "sessions_end_others", self.end_others, post),
            Route("/sessions/<session>/end", "session_end", self.end, post),
            Route("/language", "language", self.language, needs=Needs.NOBODY),
            Route("/whoami", "whoami", self.whoami, needs=Needs.NOBODY),
        ]

    def start(self) -> Response:
        """Lead to one's profile."""
        return self._door.send("accounts.profile")

    def profile(self) -> Response:
        """Show and change name, email and language."""
        door, person = self._door, self._door.me.person
        if request.method == "GET":
            lang = person.lang or door.say.lang
            form = Form(door.say, {"name": person.name, "email": person.email, "lang": lang})
            return door.page("profile.html", form=form)
        form = Form.sent(door.say, request.form)
        if form.get("lang") not in LANGUAGES:
            form.fail("lang", "error.choice")
        if form.ok:
            said = self._save(form, person)
        if not form.ok:
            return door.page("profile.html", 422, form=form)
        return door.send("accounts.profile", said)

    def _save(self, form: Form, person: Person) -> str:
        """Save the profile; where the site sends mail, a new address has to be proven first."""
        door, email = self._door, form.get("email").strip()
        fields = {name: form.get(name) for name in ("name", "email", "lang")}
        proves = bool(door.settings.mail and email and email != person.email)
        if proves:
            del fields["email"]
            waiting = door.service.links.open_links(Purpose.ADDRESS)
            if is_new(waiting, person.sub, door.clock.unix_s()):
                form.fail("email", "error.letter_waits")
                return ""
        try:
            checked_email(email)
            door.service.people.edit(person.sub, door.caller, **fields)
            if proves:
                link = door.service.joining.address_link(person.sub, email, door.caller)
                door.deliver(link, email, person)
        except Refused as refused:
            form.refuse(refused)
        return "address_asked" if proves else "saved"

    def sessions(self) -> Response:
        """Show where one is logged in, this browser first."""
        door, me = self._door, self._door.me
        found = door.service.sessions.of(me.person.sub)
        found.sort(key=lambda session: session.sid != me.session.sid)
        return door.page("sessions.html", sessions=[self._shown(s) for s in found])

    def _shown(self, session: SessionInfo) -> dict[str, Any]:
        return {
            "id": session.sid,
            "current": session.sid == self._door.me.session.sid,
            "device": device(session.agent, self._door.say),
            "address": session.address,
            "seen": session.seen_at,
            "created": session.created_at,
        }

    def end(self, session: str) -> Response:
        """End one of one's own sessions."""
        door = self._door
        door.service.sessions.end(session, door.caller, sub=door.me.person.sub)
        return door.send("accounts.sessions", "session_ended")

    def end_others(self) -> Response:
        """End all of one's own sessions but this one."""
        door, me = self._door, self._door.me
        door.service.sessions.end_all(me.person.sub, door.caller, keep=me.session.sid)
        return door.send("accounts.sessions", "others_ended")

    def language(self) -> Response:
        """Remember a language for this browser, as long as nobody is logged in to say another."""
        door = self._door
        response = door.send_to(own_path(request.args.get("next"), url_for("accounts.start")))
        if (lang := request.args.get("lang", "")) in LANGUAGES:
            response.set_cookie(
                LANGUAGE_COOKIE,
                lang,
                max_age=LANGUAGE_LIFE_S,
                path=request.script_root or "/",
                secure=request.is_secure,
                httponly=True,
                samesite="Lax",
            )
        return response

    def whoami(self) -> Response:
        """Tell a program who it is logged in as; 401 when nobody is.

        A browser is known by its session, an API token by what the edge has proven.
        """
        who = self._door.who
        known = self._of_session(who) if who else _of_edge(request.environ.get(ENVIRON_KEY))
        if known is None:
            response = jsonify(code="identity.required", login=url_for("accounts.login"))
            response.status_code = 401
            return response
        return jsonify(known)

    def _of_session(self, who: Who) -> dict[str, Any]:
        person, settings = who.person, self._door.settings
        return {
            **{name: getattr(person, name) for name in TEXTS},
            "lang": person.lang or settings.lang,
            "roles": list(person.roles),
            "groups": list(person.groups),
            "permissions": sorted(permissions_of(settings.roles, person.roles)),
            "amr": list(who.session.amr),
            "auth_time": who.session.auth_at,
        }


def _of_edge(identity: Any) -> dict[str, Any] | None:
    """Return what the host has put beside the request; no client can put anything there."""
    if identity is None or not identity.sub:
        return None
    return {
        **{name: getattr(identity, name) for name in (*TEXTS, "lang", "auth_time")},
        **{name: list(getattr(identity, name)) for name in LISTS},
    }
