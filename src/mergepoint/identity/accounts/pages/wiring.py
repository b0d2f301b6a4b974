"""The pages of the accounts app as one Flask blueprint.

Place:  identity.accounts.application -> [pages.wiring] -> the groups of pages
Rule:   every page passes the same checks in the same order: origin, size, login, rights, proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from typing import Any

from flask import Blueprint, Response, jsonify, request, url_for
from werkzeug.exceptions import HTTPException

from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.pages.audit import AuditPages
from mergepoint.identity.accounts.pages.door import Door, iso, shown
from mergepoint.identity.accounts.pages.headers import harden
from mergepoint.identity.accounts.pages.joining import JoiningPages
from mergepoint.identity.accounts.pages.letters import Deliver, tell_operator
from mergepoint.identity.accounts.pages.login import LoginPages
from mergepoint.identity.accounts.pages.origin import is_own
from mergepoint.identity.accounts.pages.passkeys import PasskeyPages
from mergepoint.identity.accounts.pages.people import PeoplePages
from mergepoint.identity.accounts.pages.profile import ProfilePages
from mergepoint.identity.accounts.pages.proof import ProofPages
from mergepoint.identity.accounts.pages.provider import ProviderPages
from mergepoint.identity.accounts.pages.routes import Needs, Pages, Route, View
from mergepoint.identity.accounts.pages.security import SecurityPages
from mergepoint.identity.accounts.pages.services import ServicePages
from mergepoint.identity.accounts.pages.tokens import TokenPages
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.errors import Busy, Refused
from mergepoint.identity.accounts.store.errors import StoreLost

BODY_BYTES_MAX = 131072
"""One form or one passkey; more is not read."""
LOST_RETRY_S = 5


def blueprint(
    service: Accounts, settings: AccountsSettings, deliver: Deliver = tell_operator
) -> Blueprint:
    """Return the pages.

    `deliver` takes one-time links to people; the default tells the operator who waits for one.
    The application registers it without a prefix of its own: the mount is in `SCRIPT_NAME`.
    """
    door = Door(service, settings, deliver)
    made = Blueprint("accounts", __name__, template_folder="templates", static_folder="static")
    made.add_app_template_filter(shown, "shown")
    made.add_app_template_filter(iso, "iso")
    proof = ProofPages(door)
    for pages in _groups(door, proof):
        for route in pages.routes():
            view = _checked(door, proof, route)
            made.add_url_rule(route.path, route.endpoint, view, methods=[*route.methods])
    made.add_url_rule("/<path:_>", "elsewhere", lambda _: door.message("refused.page", 404))
    made.before_request(lambda: _before(door))
    made.after_request(lambda response: _after(door, response))
    _errors(made, door)
    return made


def _groups(door: Door, proof: ProofPages) -> Sequence[Pages]:
    login = LoginPages(door)
    return (
        login,
        JoiningPages(door, login),
        ProviderPages(door),
        PasskeyPages(door),
        proof,
        ProfilePages(door),
        SecurityPages(door),
        TokenPages(door),
        PeoplePages(door),
        ServicePages(door),
        AuditPages(door),
    )


def _before(door: Door) -> Response | None:
    if request.endpoint == "accounts.static":
        return None
    request.max_content_length = BODY_BYTES_MAX
    request.max_form_memory_size = BODY_BYTES_MAX
    door.enter()
    own = f"{request.scheme}://{request.host}"
    fetch_site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if is_own(request.method, fetch_site, origin, own):
        return None
    return door.message("refused.origin", 403)


def _after(door: Door, response: Response) -> Response:
    static = request.endpoint == "accounts.static" and response.status_code == 200
    harden(response.headers, static=static)
    return door.leave(response)


def _checked(door: Door, proof: ProofPages, route: Route) -> View:
    """Return the view behind the checks its route asks for."""

    @wraps(route.view)
    def view(**arguments: Any) -> Response:
        if route.needs is not Needs.NOBODY:
            if door.who is None:
                return _unknown(door, route)
            if route.needs is Needs.ADMINISTRATOR and not door.who.is_admin:
                return door.message("refused.rights", 403)
            if (asked := proof.demand(route)) is not None:
                return asked
        return route.view(**arguments)

    return view


def _unknown(door: Door, route: Route) -> Response:
    """Send somebody who is not logged in to the login; what they sent is not kept."""
    if request.is_json:
        response = jsonify(code="identity.required")
        response.status_code = 401
        return response
    if "GET" not in route.methods:
        return door.send_to_login(url_for("accounts.start"))
    return door.send_to_login(f"{request.script_root}{request.full_path.rstrip('?')}")


def _errors(made: Blueprint, door: Door) -> None:
    """Say in a page what went wrong: nobody sees a traceback."""

    def refused(error: Refused) -> Response:
        if error.reason == "unknown":
            return door.message("refused.page", 404)
        return door.message("refused.rights" if error.reason == "disabled" else "refused.page", 403)

    def lost(error: StoreLost | Busy) -> Response:
        door.log.warning("%s: %s", error.code, error.message)
        response = door.message("refused.lost", 503)
        response.headers["Retry-After"] = str(LOST_RETRY_S)
        return response

    def refused_by_http(error: HTTPException) -> Response:
        key = "refused.size" if error.code == 413 else "refused.page"
        return door.message(key, error.code or 500)

    made.register_error_handler(Refused, refused)
    made.register_error_handler(StoreLost, lost)
    made.register_error_handler(Busy, lost)
    for status in (400, 404, 405, 413, 415):
        made.register_error_handler(status, refused_by_http)
