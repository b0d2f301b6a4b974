"""Administration of people: find, invite, roles and groups, reset links, keep out.

Place:  pages.wiring -> [pages.people] -> service.people, service.links, service.sessions
Rule:   only for administrators; every change needs a fresh proof; links are shown once.
"""

from __future__ import annotations

from typing import Any

from flask import Response, request, url_for

from mergepoint.identity.accounts.pages.door import Door
from mergepoint.identity.accounts.pages.forms import Form
from mergepoint.identity.accounts.pages.routes import Needs, Route, View
from mergepoint.identity.accounts.service.errors import Refused, unknown
from mergepoint.identity.accounts.service.links import Purpose
from mergepoint.identity.accounts.service.person import PERSON, SERVICE, Person

PAGE_ROWS = 50
LISTS = {PERSON: "accounts.people", SERVICE: "accounts.services"}
"""Where one is among others of its kind."""


class PeoplePages:
    """The people of the site, for administrators."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[Route]:
        """Return the pages of this group."""
        person = "/admin/people/<sub>"
        return [
            admin("/admin/", "admin", self.start),
            admin("/admin/people", "people", self.people),
            admin("/admin/people/new", "person_new", self.invite, "GET", "POST"),
            admin(person, "person", self.person),
            admin(f"{person}/rights", "person_rights", self.rights, "POST"),
            admin(f"{person}/reset", "person_reset", self.reset, "POST"),
            admin(f"{person}/sign-out", "person_sign_out", self.sign_out, "POST"),
            admin(f"{person}/disable", "person_disable", self.disable, "POST"),
            admin(f"{person}/enable", "person_enable", self.enable, "POST"),
            admin(f"{person}/delete", "person_delete", self.delete, "GET", "POST"),
        ]

    def start(self) -> Response:
        """Lead to the list of people."""
        return self._door.send("accounts.people")

    def people(self) -> Response:
        """Show people by user name, a page at a time, or those a search finds."""
        q, after = request.args.get("q", "").strip()[:100], request.args.get("after", "")[:64]
        found = self._door.service.people.search(q, after=after, limit=PAGE_ROWS + 1, kind=PERSON)
        resets = self._door.service.links.open_links(Purpose.RESET)
        return self._door.page(
            "people.html",
            people=found[:PAGE_ROWS],
            q=q,
            older=self._older(q, found),
            newer=url_for("accounts.people", q=q) if after else "",
            asked={link.sub for link in resets if not link.created_by},
        )

    def _older(self, q: str, found: list[Person]) -> str:
        if len(found) <= PAGE_ROWS:
            return ""
        return url_for("accounts.people", q=q, after=found[PAGE_ROWS - 1].user)

    def invite(self) -> Response:
        """Make a link with which one person creates an account."""
        door, link = self._door, ""
        form = Form(door.say)
        if request.method == "POST":
            form = Form.sent(door.say, request.form, many=("roles",))
            link = self._issue_invite(form)
        shown = form if not form.ok else Form(door.say)
        return door.page(
            "person_new.html", 200 if form.ok else 422, form=shown, link=link, **self._roles()
        )

    def _issue_invite(self, form: Form) -> str:
        door = self._door
        try:
            email = form.get("email")
            issued = door.service.joining.invite(
                door.caller, email=email, roles=form.chosen["roles"]
            )
        except Refused as refused:
            form.refuse(refused)
            return ""
        if email:
            door.deliver(issued, email)
        return issued.url

    def person(self, sub: str) -> Response:
        """Show one person."""
        return self._shown(self._found(sub))

    def _shown(
        self, person: Person, form: Form | None = None, *, link: str = "", status: int = 200
    ) -> Response:
        door = self._door
        if person.kind == SERVICE:
            return door.send("accounts.service", sub=person.sub)
        filled = Form(door.say, {"groups": ", ".join(person.groups)}, {"roles": person.roles})
        return door.page(
            "person.html",
            status,
            person=person,
            form=form or filled,
            link=link,
            is_self=person.sub == door.me.person.sub,
            factors=door.factors_of(person),
            sessions=door.service.sessions.of(person.sub),
            **self._roles(),
        )

    def rights(self, sub: str) -> Response:
        """Replace roles and, where they were sent, groups."""
        door, person = self._door, self._found(sub)
        form = Form.sent(door.say, request.form, many=("roles",))
        try:
            groups = form.get("groups").split(",") if "groups" in form.values else None
            door.service.people.set_rights(
                sub, door.caller, roles=form.chosen["roles"], groups=groups
            )
        except Refused as refused:
            form.refuse(refused)
            return self._shown(self._found(sub), form, status=422)
        return door.send("accounts." + person.kind, "saved", sub=sub)

    def reset(self, sub: str) -> Response:
        """Make a link with which this person chooses a new password."""
        door, person = self._door, self._found(sub)
        issued = door.service.joining.reset_link(sub, door.caller)
        return self._shown(person, link=issued.url)

    def sign_out(self, sub: str) -> Response:
        """End every session of this person."""
        self._door.service.sessions.end_all(sub, self._door.caller)
        return self._done(sub, "signed_out")

    def disable(self, sub: str) -> Response:
        """Keep this person or service out."""
        door, person = self._door, self._found(sub)
        form = Form(door.say)
        if sub == door.me.person.sub:
            form.fail("", "error.last_admin")
            return self._shown(person, form, status=422)
        try:
            door.service.people.disable(sub, door.caller)
        except Refused as refused:
            form.refuse(refused)
            return self._shown(person, form, status=422)
        return self._done(sub, "disabled")

    def enable(self, sub: str) -> Response:
        """Let this person or service in again."""
        self._door.service.people.enable(sub, self._door.caller)
        return self._done(sub, "enabled")

    def delete(self, sub: str) -> Response:
        """Say what ends and what stays, then remove this person or service."""
        door, person = self._door, self._found(sub)
        form = Form(door.say)
        if sub == door.me.person.sub:
            form.fail("", "error.delete_self")
        elif request.method == "POST":
            try:
                door.service.people.delete(sub, door.caller)
                return door.send(LISTS[person.kind], "deleted")
            except Refused as refused:
                form.refuse(refused)
        return door.page(
            "person_delete.html",
            200 if form.ok else 422,
            form=form,
            person=person,
            sessions=len(door.service.sessions.of(sub)),
            tokens=len(door.service.tokens.of(sub)),
            passkeys=door.service.factors.of(sub).passkeys,
            back=url_for("accounts." + person.kind, sub=sub),
        )

    def _done(self, sub: str, said: str) -> Response:
        return self._door.send("accounts." + self._found(sub).kind, said, sub=sub)

    def _found(self, sub: str) -> Person:
        person = self._door.service.people.get(sub)
        if person is None:
            raise unknown("person")
        return person

    def _roles(self) -> dict[str, Any]:
        return {"all_roles": sorted(self._door.settings.roles)}


def admin(path: str, endpoint: str, view: View, *methods: str) -> Route:
    """Return a page for administrators; what it changes needs a fresh proof."""
    return Route(path, endpoint, view, methods or ("GET",), Needs.ADMINISTRATOR, recent=("POST",))
