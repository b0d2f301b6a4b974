"""The headers of every answer: what a browser may do with an accounts page.

Place:  pages.wiring -> [pages.headers]
Rule:   no inline script or style, no frame, no copy kept; files that never change are kept.
"""

from __future__ import annotations

from werkzeug.datastructures import Headers

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
ALWAYS = {
    "Content-Security-Policy": POLICY,
    # The origin alone: a path may hold a one-time link, and other apps share the origin. Not
    # `no-referrer`, which would make browsers send forms with `Origin: null`.
    "Referrer-Policy": "strict-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), "
        "microphone=(), geolocation=()"
    ),
}
STATIC_S = 365 * 86400


def harden(headers: Headers, *, static: bool) -> None:
    """Set what every answer carries; `static` files are addressed by their content."""
    for name, value in ALWAYS.items():
        headers[name] = value
    headers["Cache-Control"] = f"public, max-age={STATIC_S}, immutable" if static else "no-store"
