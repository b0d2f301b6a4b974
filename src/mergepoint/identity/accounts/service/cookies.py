"""The cookies of the accounts app, as `Set-Cookie` values.

Place:  sessions, devices -> [service.cookies] -> edge_calls, pages
Rule:   the names and attributes of docs/reference/contracts.md section 5; values need no quoting.
"""

from __future__ import annotations

SESSION, REFRESH = "mergepoint-session", "mergepoint-refresh"
DEVICE = "mergepoint-device"


def session_name(secure: bool) -> str:
    """Return the name of the session token's cookie on this kind of connection."""
    return f"__Host-{SESSION}" if secure else SESSION


def refresh_name(secure: bool) -> str:
    """Return the name of the refresh cookie on this kind of connection."""
    return f"__Host-{REFRESH}" if secure else REFRESH


def device_name(secure: bool) -> str:
    """Return the name of the cookie that says a browser has logged in before."""
    return f"__Secure-{DEVICE}" if secure else DEVICE


def session_cookies(
    token: str, refresh: str | None, *, secure: bool, max_age_s: float | None
) -> list[str]:
    """Return the cookies of a session; `max_age_s` None ends them with the browser."""
    made = [_cookie(session_name(secure), token, "/", secure, max_age_s)]
    if refresh is not None:
        made.append(_cookie(refresh_name(secure), refresh, "/", secure, max_age_s))
    return made


def ended_cookies(*, secure: bool) -> list[str]:
    """Return what removes the cookies of a session."""
    names = (session_name(secure), refresh_name(secure))
    return [_cookie(name, "", "/", secure, 0) for name in names]


def device_cookie(value: str, mount: str, *, secure: bool, max_age_s: float) -> str:
    """Return the device's cookie; only the accounts app is sent it."""
    return _cookie(device_name(secure), value, mount, secure, max_age_s)


def _cookie(name: str, value: str, path: str, secure: bool, max_age_s: float | None) -> str:
    parts = [f"{name}={value}", f"Path={path}"]
    if max_age_s is not None:
        parts.append(f"Max-Age={int(max_age_s)}")
    if secure:
        parts.append("Secure")
    return "; ".join([*parts, "HttpOnly", "SameSite=Lax"])
