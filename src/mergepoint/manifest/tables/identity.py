"""``[identity]``, ``[identity.oidc.NAME]`` and ``[roles.NAME]``: how people prove who they are.

Place:  manifest.validate -> [manifest.tables.identity]
Rule:   shape and single values only; what needs two values, the disk or the environment is in
        manifest.checks.
"""

from __future__ import annotations

import re
import warnings
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from mergepoint.manifest.access import (
    PASSWORD_LENGTH_MIN,
    SESSION_DAYS_MAX,
    SESSION_IDLE_DAYS_MAX,
    TOKEN_LIFE_S,
)
from mergepoint.manifest.tables.access import Requirements
from mergepoint.manifest.tables.amounts import duration_s, refused
from mergepoint.manifest.tables.forms import is_reference, parse_path, referenced
from mergepoint.manifest.tables.mail import MailTable
from mergepoint.manifest.tables.requirements import ROLE_NAME, is_group, parse_grant
from mergepoint.manifest.tables.table import Table, key, listed

OIDC_MAX = 16
ROLES_MAX = 200
PERMISSIONS_MAX = 1000
TOKEN_LIFE_S_RANGE = (60.0, 1800.0)
DATABASES = ("sqlite", "postgresql", "postgresql+psycopg")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}\Z")
_PROVIDER = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def database_fault(url: str) -> tuple[str, str] | None:
    """Return why a database URL cannot be used, and the fix; None when it can."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in DATABASES:
        fix = 'write "sqlite:///accounts.db" or "postgresql://user@host/name"'
        return "is not the address of a database", fix
    if scheme == "sqlite" and (not rest.startswith("/") or rest.strip("/") in {"", ":memory:"}):
        return "names no file", 'write "sqlite:///accounts.db": people must outlive a restart'
    return None


def _database(text: str) -> str:
    referenced(text)
    fault = None if is_reference(text) else database_fault(text)
    if fault:
        raise refused(*fault)
    return text


def _mount(text: str) -> str:
    path = parse_path(text)
    if path == "/":
        raise refused("needs a path of its own", 'write "/-/accounts"')
    return path


def _public_url(text: str) -> str:
    fix = 'write "https://example.org", with the port if it is not the usual one'
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        raise refused("is not the address of a site", fix) from None
    if url.scheme not in {"http", "https"} or not host or "@" in url.netloc or host == "*":
        raise refused("is not the address of a site", fix)
    if url.path not in {"", "/"} or url.query or url.fragment:
        raise refused(
            "has a path; `at` says where people log in", f'write "{url.scheme}://{url.netloc}"'
        )
    return text.rstrip("/").lower()


def _token_life_s(value: Any) -> float:
    seconds, (least, most) = duration_s(value), TOKEN_LIFE_S_RANGE
    if not least <= seconds <= most:
        raise refused(f"must be {least:g} to {most:g} s", "leave it out for 600 s")
    return seconds


def _issuer(text: str) -> str:
    try:
        url = urlsplit(text)
        sound = bool(url.hostname) and not (url.query or url.fragment or "@" in url.netloc)
        _ = url.port
    except ValueError:
        raise refused("is not the address of a provider", _ISSUER_FIX) from None
    if sound and url.scheme == "http" and url.hostname not in _LOOPBACK:
        raise refused("must be https: its answers say who people are", f'write "https{text[4:]}"')
    if not sound or url.scheme not in {"http", "https"}:
        raise refused("is not the address of a provider", _ISSUER_FIX)
    return text


_ISSUER_FIX = 'write "https://accounts.example.org", without a query'


def _scopes(value: list[str]) -> list[str]:
    for scope in value:
        if not _SCOPE.match(scope):
            raise refused(f'"{scope[:64]}" is not a scope', "write each scope as its own text")
    if "openid" not in value:
        raise refused('needs "openid"', 'write ["openid", "profile", "email"]')
    return value


def _providers(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if not _PROVIDER.match(name):
            fix = "use a lower-case letter, then letters, digits and -, 32 at most"
            raise refused(f'"{name[:64]}" is not the name of a provider', fix)
    return value


def _group_roles(value: dict[str, str]) -> dict[str, str]:
    for group in value:
        if not is_group(group):
            raise refused(f'"{group[:64]}" is not a group name', "use a name without a comma")
    return value


RoleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


class OidcTable(Table):
    """One OpenID Connect provider; people see its NAME on the login page."""

    issuer: Annotated[str, AfterValidator(_issuer)] = key(
        "Address of the provider, as its discovery document names itself.", ...
    )
    client_id: str = key("What the provider calls this site.", ..., min_length=1, max_length=512)
    client_secret: Annotated[str, AfterValidator(referenced)] | None = key(
        'Secret from the provider, as the name of a variable: "env:GITLAB_SECRET".',
        stands_for="none: a public client, with PKCE",
        min_length=1,
    )
    scopes: Annotated[
        list[str],
        BeforeValidator(listed, json_schema_input_type=str | list[str]),
        Field(max_length=32),
        AfterValidator(_scopes),
    ] = key("Scopes to ask for.", ["openid", "profile", "email"])
    groups_claim: str = key(
        "Claim that holds the person's groups.", "groups", min_length=1, max_length=128
    )
    roles: Annotated[dict[str, str], AfterValidator(_group_roles)] = key(
        "From a group of the provider to a role of this site.", {}, max_length=ROLES_MAX
    )
    allow_signup: bool = key("Make an account for a person who comes for the first time.", False)


class RoleTable(Table):
    """A named set of permissions that people and services can have."""

    permissions: Annotated[
        list[Annotated[str, AfterValidator(parse_grant)]],
        BeforeValidator(listed, json_schema_input_type=str | list[str]),
        Field(max_length=PERMISSIONS_MAX),
    ] = key('What it grants: "tickets.edit", "tickets.*" or "*".', [])
    includes: Annotated[
        list[str],
        BeforeValidator(listed, json_schema_input_type=str | list[str]),
        Field(max_length=ROLES_MAX),
    ] = key("Other roles whose permissions it has too.", [])


with warnings.catch_warnings():
    # The metaclass of every model has a method `register`, which pydantic mistakes for a clash.
    warnings.filterwarnings("ignore", message='Field name "register"')

    class IdentityTable(Table):
        """Its presence switches identity on: people log in once for every app of the site."""

        at: Annotated[str, AfterValidator(_mount)] = key(
            "Where people log in and see to their account, on every host.", "/-/accounts"
        )
        public_url: Annotated[str, AfterValidator(_public_url)] | None = key(
            'Where people reach the site, "https://example.org"; begins every link to it.',
            stands_for="in development this machine; in production the one host served with TLS",
        )
        database: Annotated[str, AfterValidator(_database)] | None = key(
            'Where accounts are kept: "sqlite:///FILE", "postgresql://...", or "env:NAME" for a '
            "variable that says it.",
            stands_for="accounts.db in state_dir",
            min_length=1,
        )
        register: Literal["open", "invite", "closed"] = key(
            "Who may make an account: anybody, those who were invited, or nobody.", "invite"
        )
        session_days_max: int = key(
            "Days after which one must log in again.", SESSION_DAYS_MAX, ge=1, le=3650
        )
        session_idle_days_max: int = key(
            "Days without a request after which one must log in again.",
            SESSION_IDLE_DAYS_MAX,
            ge=1,
            le=3650,
        )
        token_life_s: Annotated[
            float, BeforeValidator(_token_life_s, json_schema_input_type=float | str)
        ] = key(
            "Seconds the edge believes a session without asking again, 60 to 1800.", TOKEN_LIFE_S
        )
        second_factor: Literal["off", "optional", "required"] = key(
            "Whether a code is asked beside the password.", "optional"
        )
        passwords: bool = key("Let people log in with a password.", True)
        passkeys: bool = key("Let people log in with a passkey.", True)
        password_length_min: Annotated[int, Field(ge=8, le=128)] = key(
            "Fewest characters of a password.", PASSWORD_LENGTH_MIN
        )
        breached: str | None = key(
            'Passwords to refuse: a file of sorted SHA-1 hashes, or "module:callable".',
            stands_for="none",
            min_length=1,
        )
        require: Requirements = key(
            "Who may use apps that do not say it themselves: a requirement or a list of them.",
            ["public"],
        )
        oidc: Annotated[
            dict[str, OidcTable], Field(max_length=OIDC_MAX), AfterValidator(_providers)
        ] = key("Providers people may log in with, by name.", {})
        mail: MailTable | None = key(
            "How one-time links travel to people.",
            stands_for="none: administrators see who waits for one and pass links on",
        )


__all__ = ["ROLE_NAME", "IdentityTable", "MailTable", "OidcTable", "RoleTable"]
