"""The cookie that holds what a browser has begun: a second step, a login elsewhere.

Place:  pages.login, pages.provider -> [pages.attempt_cookie]
Rule:   only the accounts app is sent it; it is worth nothing once finished or after ten minutes.
"""

from __future__ import annotations

from flask import Response, request

from mergepoint.identity.accounts.service.attempts import ATTEMPT_LIFE_S

LOGIN, PROVIDER, LINK = "login", "provider", "link"


def read(kind: str) -> str:
    """Return the secret of what was begun, empty when nothing was."""
    return request.cookies.get(_name(kind), "")[:64]


def write(response: Response, kind: str, secret: str) -> Response:
    """Give the browser the secret of what begins."""
    response.set_cookie(
        _name(kind),
        secret,
        max_age=int(ATTEMPT_LIFE_S),
        path=request.script_root or "/",
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )
    return response


def clear(response: Response, kind: str) -> Response:
    """Take the secret away."""
    response.delete_cookie(
        _name(kind),
        path=request.script_root or "/",
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )
    return response


def _name(kind: str) -> str:
    return f"{'__Secure-' if request.is_secure else ''}mergepoint-begun-{kind}"
