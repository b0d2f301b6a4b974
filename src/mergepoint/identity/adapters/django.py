"""Django: the site's login instead of Django's own, in the admin as well. In settings.py:

    MIDDLEWARE = [..., "django.contrib.auth.middleware.AuthenticationMiddleware",
                  "mergepoint.identity.adapters.django.IdentityMiddleware", ...]
    AUTHENTICATION_BACKENDS = ["mergepoint.identity.adapters.django.IdentityBackend"]

Place:  Django -> [adapters.django] -> identity.finding
Rule:   whoever the edge proved is who Django sees; a session of somebody else is never carried on.

Further settings: `LOGIN_URL = "/-/accounts/login"` for `login_required`; `MERGEPOINT_ACCOUNTS`, the
mount of the accounts app; `MERGEPOINT_STAFF_ROLES` and `MERGEPOINT_SUPERUSER_ROLES`, by default
`["staff", "admin"]` and `["admin"]`, or None to leave Django's flags alone; `MERGEPOINT_GROUPS`,
`"mirror"` to make Django's groups of a person exactly those of the site, or
`{"site group or role": "Django group"}` to decide these memberships only; unset leaves them alone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import (
    ImproperlyConfigured,
    PermissionDenied,
)
from django.http import HttpResponse
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import SimpleLazyObject
from django.utils.http import url_has_allowed_host_and_scheme

from mergepoint.identity import Identity, of

if TYPE_CHECKING:
    from collections.abc import Mapping

MOUNT = "/-/accounts"
STAFF_ROLES = ("staff", "admin")
SUPERUSER_ROLES = ("admin",)
SESSION_OWNER = "_mergepoint_sub"
LOGIN, LOGOUT, PASSWORD = "login", "logout", "password_change"
DOORS = {"LoginView": LOGIN, "LogoutView": LOGOUT, "PasswordChangeView": PASSWORD}
"""Django's own views by class; the admin's are known by the names of their addresses."""


class IdentityMiddleware(MiddlewareMixin):  # type: ignore[misc]
    """Sets `request.user` from the site, and sends Django's login pages to the site's."""

    def process_request(self, request: Any) -> None:
        """Set `request.user` and `request.auser`; the database is asked when they are looked at."""
        identity = of(request)
        owner = request.session.get(SESSION_OWNER)
        if owner is not None and owner != identity.sub:
            request.session.flush()
        request.user = SimpleLazyObject(lambda: user_of(request, identity))
        request.auser = partial(_auser, request, identity)

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG002
        """Answer Django's own login, logout and change of password with the site's."""
        match = request.resolver_match
        door = door_of(match.app_names, match.url_name, view)
        mount = getattr(settings, "MERGEPOINT_ACCOUNTS", MOUNT)
        if door == LOGIN:
            return _login(request, mount, "admin" in match.app_names)
        if door == LOGOUT:
            return _see(mount + "/logout")
        return _see(mount + "/") if door == PASSWORD else None

    def process_response(self, request: Any, response: Any) -> Any:
        """Write into a session whose it is, so that nobody else ever finds it."""
        session = getattr(request, "session", None)
        if session is not None and session.modified and not session.is_empty():
            sub = of(request).sub
            if sub and session.get(SESSION_OWNER) != sub:
                session[SESSION_OWNER] = sub
        return response


class IdentityBackend(ModelBackend):  # type: ignore[misc]
    """Makes and updates Django's users from the site's; there is no password to try.

    A permission of Django, `tickets.change_ticket`, is also granted by the site's of that name.
    """

    def authenticate(self, request: Any, identity: Identity | None = None) -> Any:  # noqa: ARG002
        """Return the user of a proven identity, made when new; None for nobody or the inactive."""
        if identity is None or identity.anonymous:
            return None
        model = auth.get_user_model()
        name = {model.USERNAME_FIELD: identity.user}
        user, made = model._default_manager.get_or_create(**name)
        if made:
            user.set_unusable_password()
        wanted = profile(user, identity, _roles("STAFF", STAFF_ROLES),
                         _roles("SUPERUSER", SUPERUSER_ROLES))  # fmt: skip
        changed = [name for name, value in wanted.items() if getattr(user, name) != value]
        for changing in changed:
            setattr(user, changing, wanted[changing])
        if made or changed:
            user.save(update_fields=None if made else changed)
        _give_groups(user, identity)
        user.mergepoint_identity = identity
        return user if self.user_can_authenticate(user) else None

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Tell whether the site or Django grants a permission; objects are Django's affair."""
        return _site_grants(user_obj, perm, obj) or super().has_perm(user_obj, perm, obj)

    async def ahas_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """As `has_perm`."""
        return _site_grants(user_obj, perm, obj) or await super().ahas_perm(user_obj, perm, obj)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Tell whether any permission of a Django app is granted; the admin's front page asks."""
        return _site_knows(user_obj, app_label) or super().has_module_perms(user_obj, app_label)

    async def ahas_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """As `has_module_perms`."""
        own = _site_knows(user_obj, app_label)
        return own or await super().ahas_module_perms(user_obj, app_label)


def user_of(request: Any, identity: Identity) -> Any:
    """Return Django's user of this request; AnonymousUser when nobody was proven.

    Raises PermissionDenied for somebody the site knows and Django has made inactive: sent to the
    login page they would come back for ever.
    """
    from django.contrib.auth.models import AnonymousUser

    if not hasattr(request, "_cached_user"):  # where Django's own functions look as well
        user = AnonymousUser()
        if not identity.anonymous:
            user = auth.authenticate(request, identity=identity)
        if user is None:
            raise PermissionDenied(f"{identity.user} is not active here")
        request._cached_user = user
    return request._cached_user


async def _auser(request: Any, identity: Identity) -> Any:
    return await sync_to_async(user_of)(request, identity)


def profile(
    user: Any, identity: Identity, staff: tuple[str, ...] | None, superuser: tuple[str, ...] | None
) -> dict[str, Any]:
    """Return the fields of a Django user that the site decides; pure but for asking the model."""
    first, _, last = identity.name.partition(" ")
    wanted: dict[str, Any] = {"email": identity.email, "first_name": first, "last_name": last}
    if staff is not None:
        wanted["is_staff"] = any(identity.has_role(role) for role in staff)
    if superuser is not None:
        wanted["is_superuser"] = any(identity.has_role(role) for role in superuser)
    return {
        name: _cut(user, name, value) for name, value in wanted.items() if _has_field(user, name)
    }


def _has_field(user: Any, name: str) -> bool:
    return any(field.name == name for field in user._meta.concrete_fields)


def _cut(user: Any, name: str, value: Any) -> Any:
    length = user._meta.get_field(name).max_length
    return value[:length] if isinstance(value, str) and length else value


def groups_wanted(
    identity: Identity, rule: str | Mapping[str, str]
) -> tuple[set[str], set[str] | None]:
    """Return the Django groups somebody belongs in, and those the site decides (None: all); pure.

    Raises ImproperlyConfigured when the rule is neither `"mirror"` nor a mapping.
    """
    if rule == "mirror":
        return set(identity.groups), None
    if isinstance(rule, str):
        raise ImproperlyConfigured(f'MERGEPOINT_GROUPS is {rule!r}, not "mirror" or a mapping')
    held = {*identity.groups, *identity.roles}
    return {rule[name] for name in rule if name in held}, set(rule.values())


def _give_groups(user: Any, identity: Identity) -> None:
    rule = getattr(settings, "MERGEPOINT_GROUPS", None)
    if rule is None:
        return
    wanted, decided = groups_wanted(identity, rule)
    have = set(user.groups.values_list("name", flat=True))
    gone = {name for name in have - wanted if decided is None or name in decided}
    group = user.groups.model
    if gone:
        user.groups.remove(*group.objects.filter(name__in=gone))
    for name in wanted - have:
        user.groups.add(group.objects.get_or_create(name=name)[0])


def _roles(which: str, default: tuple[str, ...]) -> tuple[str, ...] | None:
    given = getattr(settings, f"MERGEPOINT_{which}_ROLES", default)
    return None if given is None else tuple(given)


def _identity(user: Any) -> Identity | None:
    found = getattr(user, "mergepoint_identity", None)
    return found if user.is_active and isinstance(found, Identity) else None


def _site_grants(user: Any, perm: str, obj: Any) -> bool:
    identity = _identity(user)
    return obj is None and identity is not None and identity.may(perm)


def _site_knows(user: Any, app_label: str) -> bool:
    identity = _identity(user)
    if identity is None:
        return False
    held = identity.permissions
    return "*" in held or any(name.startswith(app_label + ".") for name in held)


def door_of(app_names: list[str], url_name: str | None, view: Any) -> str:
    """Return which of Django's own login pages a view is, or an empty text; pure."""
    if "admin" in app_names and url_name in (LOGIN, LOGOUT, PASSWORD):
        return str(url_name)
    for kind in getattr(getattr(view, "view_class", None), "__mro__", ()):
        if kind.__module__ == "django.contrib.auth.views" and kind.__name__ in DOORS:
            return DOORS[kind.__name__]
    return ""


def _login(request: Any, mount: str, admin: bool) -> Any:
    after = request.GET.get(auth.REDIRECT_FIELD_NAME, "")
    if not url_has_allowed_host_and_scheme(after, {request.get_host()}, request.is_secure()):
        after = reverse("admin:index") if admin else resolve_url(settings.LOGIN_REDIRECT_URL)
    if of(request).anonymous:
        return _see(f"{mount}/login?{urlencode({'next': after})}")
    if admin and not (request.user.is_active and request.user.is_staff):
        raise PermissionDenied("this needs one of the staff roles")
    return _see(after)


def _see(address: str) -> Any:
    return HttpResponse(status=303, headers={"Location": address})
