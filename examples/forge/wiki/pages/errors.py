"""Error pages in the shell.

Place:  django -> [errors]
Rule:   says what happened and where to go; never shows what went wrong inside.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001
    """Answer 400."""
    return explain(
        request, 400, "That could not be read", "The request was not complete or too large."
    )


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001
    """Answer 403."""
    return explain(request, 403, "Not for everybody", "This page is not open to you.")


def forged_form(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001
    """Answer 403 to a form that does not carry this browser's secret."""
    return explain(
        request, 403, "This form has expired", "Go back, reload the page and send it again."
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001
    """Answer 404."""
    return explain(
        request, 404, "No such page", "Nothing is kept at this address. It may have been mistyped."
    )


def broken(request: HttpRequest) -> HttpResponse:
    """Answer 500; Django has logged the reason."""
    return explain(
        request, 500, "Something broke here", "It was our fault and has been logged. Try again."
    )


def explain(request: HttpRequest, status: int, title: str, detail: str) -> HttpResponse:
    """Answer an error with its reason in words."""
    error = {"status": status, "title": title, "detail": detail, "home": reverse("pages")}
    return render(request, "shell/error.html", {"error": error}, status=status)
