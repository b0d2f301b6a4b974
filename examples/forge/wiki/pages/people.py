"""Who asks: Django's own user, whoever proves them; what the frame shows, and who may write.

Place:  config.settings -> [people] -> views, files, templates
Rule:   nobody says who they are; `request.user` is the only word on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.http import urlencode

from pages.models import HANDLE_CHARS_MAX, NAME_CHARS_MAX
from pages.shell import read_shell

EDIT = "wiki.edit"
View = Callable[..., HttpResponseBase]


@dataclass(frozen=True, slots=True)
class Author:
    """Somebody who writes: the name to log in with, and the one to show."""

    user: str
    name: str = ""


def author(request: HttpRequest) -> Author:
    """Return who sends this request; only for views that are closed to nobody."""
    name = request.user.get_full_name()
    return Author(request.user.get_username()[:HANDLE_CHARS_MAX], name[:NAME_CHARS_MAX])


def for_writers(view: View) -> View:
    """Let a view run for those who may write; others are sent to the login, or told no."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.has_perm(EDIT):
            return view(request, *args, **kwargs)
        if not request.user.is_authenticated:
            return _to_login(request)
        raise PermissionDenied(f"this needs the permission {EDIT}")

    return guarded


def known(request: HttpRequest) -> AbstractBaseUser | AnonymousUser:
    """Return the user, or nobody for whom Django has made inactive: they are told no in a page."""
    try:
        request.user.get_username()  # the adapter looks them up now, and may refuse
    except PermissionDenied:
        return AnonymousUser()
    return request.user


def _to_login(request: HttpRequest) -> HttpResponse:
    return redirect_to_login(here(request), settings.LOGIN_URL)


def here(request: HttpRequest) -> str:
    """Return where to come back to after a login; a form that was sent cannot be asked for."""
    return request.get_full_path() if request.method == "GET" else reverse("pages")


def context(request: HttpRequest) -> dict[str, Any]:
    """Give templates the `visitor`, without what is closed to them, and `may_edit`."""
    user = known(request)
    menu = read_shell()
    account = menu["account"]

    def open_to(entries: list[dict[str, str]]) -> list[dict[str, str]]:
        return [e for e in entries if not e.get("permission") or user.has_perm(e["permission"])]

    name = user.get_username() and (user.get_full_name() or user.get_username())
    visitor = {
        "user": user.get_username(),
        "name": name,
        "initial": name[:1],
        "login": f"{account['login']}?{urlencode({'next': here(request)})}",
        "logout": account["logout"],
        "links": open_to(account["links"]),
        "apps": open_to(menu["apps"]),
    }
    return {"visitor": visitor, "may_edit": user.has_perm(EDIT)}
