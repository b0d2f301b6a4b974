"""Headers that keep a browser from doing more than a page needs.

Place:  django -> [middleware] -> views
Rule:   a view may be stricter, never laxer.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from pages import people

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
Answer = Callable[[HttpRequest], HttpResponseBase]


def content_security_policy(answer: Answer) -> Answer:
    """Allow the site's own files and nothing inline."""

    def with_policy(request: HttpRequest) -> HttpResponseBase:
        response = answer(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    return with_policy


def for_one_reader(answer: Answer) -> Answer:
    """Keep pages that show who is logged in from being shown again to somebody else."""

    def kept(request: HttpRequest) -> HttpResponseBase:
        response = answer(request)
        if people.known(request).is_authenticated:
            response.headers.setdefault("Cache-Control", "private, no-cache")
        return response

    return kept
