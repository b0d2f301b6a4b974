"""What the edge asks: the feed of revocations, a fresh token, what a credential stands for.

Place:  the edge -> [accounts.edge_calls] -> service
Rule:   nobody but the edge can ask (`Mergepoint-Call`); bad input is 400, a lost database 503, both
        as JSON that says nothing about the inside. docs/reference/contracts.md section 5.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, Response, abort, request

from mergepoint.core.errors import MergepointError
from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.throttle import CREDENTIAL, Bucket, network_of
from mergepoint.identity.accounts.store.errors import StoreLost, StoreRefused
from mergepoint.identity.keys import KeysRefused

CALL = "Mergepoint-Call"
BODY_BYTES_MAX = 64 * 1024
EPOCH_CHARS_MAX = 64
RETRY_AFTER_S = 1
POSITION_MAX = (1 << 63) - 1
SCHEMES = ("bearer", "basic")

Answer = tuple[int, dict[str, Any]]


class CallInvalid(MergepointError):
    """The edge sent what the contract does not know."""

    code = "accounts.call_invalid"


def blueprint(accounts: Accounts) -> Blueprint:
    """Return the three calls, to be registered at the root of the accounts app."""
    made = Blueprint("edge_calls", __name__, url_prefix="/edge")

    @made.get("/feed")
    @_call("feed")
    def feed() -> Answer:
        epoch = request.args.get("epoch", "")[:EPOCH_CHARS_MAX]
        return 200, accounts.feed.read(epoch, _position(request.args.get("after", "0")))

    @made.post("/refresh")
    @_call("refresh")
    def refresh() -> Answer:
        return _refresh(accounts, _body())

    @made.post("/check")
    @_call("check")
    def check() -> Answer:
        return _check(accounts, _body())

    return made


def _refresh(accounts: Accounts, body: dict[str, Any]) -> Answer:
    by = _caller(body, secure=_flag(body, "secure"))
    started = accounts.sessions.refresh(_text(body, "refresh"), by)
    if started is None:
        return 401, {"set_cookie": accounts.sessions.ended_cookies(by)}
    return 200, {"token": started.token, "set_cookie": list(started.set_cookie)}


def _check(accounts: Accounts, body: dict[str, Any]) -> Answer:
    scheme = _text(body, "scheme")
    if scheme not in SCHEMES:
        raise CallInvalid(f"scheme must be one of {', '.join(SCHEMES)}")
    by = _caller(body)
    user = _text(body, "user", needed=False)
    checked = accounts.tokens.check(scheme, user, _text(body, "secret"), by)
    if checked is not None:
        return 200, {"claims": checked.claims, "expires": checked.expires_at}
    # A right credential never comes here, so nobody is kept out by another's wrong ones.
    bucket = Bucket("credential", network_of(by.address), CREDENTIAL)
    taken = accounts.throttle.take([bucket], by)
    if taken.retry_after_s > 0:
        return 429, {"retry_after_s": taken.retry_after_s}
    accounts.audit.write(Event.TOKEN_REFUSED, by, detail={"scheme": scheme})
    return 401, {}


def _call(name: str) -> Callable[[Callable[[], Answer]], Callable[[], Response]]:
    """Answer 404 without the edge's header; turn what goes wrong into the contract's answers."""

    def wrap(view: Callable[[], Answer]) -> Callable[[], Response]:
        @wraps(view)
        def answer() -> Response:
            if request.headers.get(CALL) != name:
                abort(404)
            try:
                status, content = view()
            except CallInvalid as error:
                status, content = 400, _told(error)
            except (StoreLost, StoreRefused, KeysRefused) as error:
                status, content = 503, _told(error)
            response = Response(json.dumps(content), status, content_type="application/json")
            response.headers["Cache-Control"] = "no-store"
            if status == 503:
                response.headers["Retry-After"] = str(RETRY_AFTER_S)
            return response

        return answer

    return wrap


def _told(error: MergepointError) -> dict[str, Any]:
    # A refused store or ring names files and modes: for the operator's log, not for an answer.
    message = error.message if isinstance(error, CallInvalid) else "accounts cannot answer now"
    return {"error": {"code": error.code, "message": message}}


def _body() -> dict[str, Any]:
    raw = request.stream.read(BODY_BYTES_MAX + 1)
    if len(raw) > BODY_BYTES_MAX:
        raise CallInvalid(f"a body above {BODY_BYTES_MAX} bytes")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise CallInvalid("the body is not JSON") from None
    if not isinstance(body, dict):
        raise CallInvalid("the body is not a JSON object")
    return body


def _caller(body: dict[str, Any], *, secure: bool = False) -> Caller:
    return Caller(
        address=_text(body, "address", needed=False),
        agent=_text(body, "agent", needed=False),
        request_id=_text(body, "request_id", needed=False),
        secure=secure,
    )


def _text(body: dict[str, Any], name: str, *, needed: bool = True) -> str:
    value = body.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        raise CallInvalid(f"{name} must be text")
    return value


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name)
    if not isinstance(value, bool):
        raise CallInvalid(f"{name} must be true or false")
    return value


def _position(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= POSITION_MAX):
        raise CallInvalid("after must be a position")
    return int(text)
