"""What the accounts app is told: one JSON document in the variable `MERGEPOINT_ACCOUNTS`.

Place:  assembly -> MERGEPOINT_ACCOUNTS -> [identity.accounts.config] -> service, pages, edge_calls
Rule:   strict; every error at once; nothing is guessed and nothing is read from elsewhere.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from mergepoint.core.errors import Exit, MergepointError

VARIABLE = "MERGEPOINT_ACCOUNTS"
LINK_PATH = "link"
"""Every one-time link is ``<public_url><mount>/link/<secret>``; the page decides by purpose."""
ALL = "*"
"""The permission that grants every permission."""
KEEP_S = 3600.0
"""How long revocations are kept; a session token lives shorter, whatever is configured."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Seconds = Annotated[float, Field(gt=0, le=400 * 86400, allow_inf_nan=False)]
_STRICT = ConfigDict(extra="forbid")


class SettingsRefused(MergepointError):
    """`MERGEPOINT_ACCOUNTS` is missing or wrong; the message has one line for every error."""

    code = "accounts.settings"
    exit = Exit.CONFIG


class Register(StrEnum):
    """Who may make an account."""

    OPEN = "open"
    INVITE = "invite"
    CLOSED = "closed"


class SecondFactor(StrEnum):
    """Whether a password alone is enough; a passkey is two factors by itself."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Argon2Cost:
    """Cost of one password hash; the default is RFC 9106's second recommendation."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    passes: Annotated[int, Field(ge=1, le=64)] = 3
    memory_kib: Annotated[int, Field(ge=8, le=4 << 20)] = 65536
    lanes: Annotated[int, Field(ge=1, le=64)] = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One OpenID Connect provider people may log in with."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: Name
    issuer: str
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: str = field(default="", repr=False)
    title: str = ""
    """What the button says; empty: the name."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    groups_claim: str = ""
    """Claim that lists the provider's groups; empty: none are taken over."""
    role_map: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The provider's group to roles of this site."""
    allow_signup: bool = False
    """Make an account for somebody who comes from here for the first time."""


class MailSecurity(StrEnum):
    """How the way to the mail server is kept from being read; NONE on this machine alone."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """The server that takes letters to people, and how patiently it is asked."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)]
    sender: Annotated[str, Field(min_length=3)]
    """``Acme <accounts@example.org>``."""
    security: MailSecurity = MailSecurity.STARTTLS
    user: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""
    """An absolute file with the password, read again for every letter."""
    ca: str = ""
    """An absolute file of certificates to trust; empty: the system's."""
    timeout_s: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)] = 10.0
    """For the whole of one letter."""
    queue_max: Annotated[int, Field(ge=1, le=10_000)] = 100
    attempts_max: Annotated[int, Field(ge=1, le=20)] = 5
    retry_s: Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)] = 30.0
    """Before the second try; doubles with each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsSettings:
    """Everything the accounts app knows about its site; seconds and bytes are in the names."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    site: Annotated[str, Field(min_length=1, max_length=64)]
    """Name of the site; `aud` of every session token."""
    issuer: Annotated[str, Field(min_length=1, max_length=128)]
    """`iss` of every session token: ``mergepoint:acme``."""
    database: Annotated[str, Field(min_length=1)] = field(repr=False)
    """``sqlite:////abs/accounts.db`` or ``postgresql://user:password@host/name``."""
    keys_dir: Path
    """The key rings (0700); made when missing."""
    state_dir: Path
    """The site's state directory."""
    public_url: str
    """Scheme, host and port as people type them: ``https://acme.example``; begins every link."""
    title: str = ""
    """The site's name for people; empty: `site`."""
    mount: Annotated[str, Field(pattern=r"^/.*[^/]$")] = "/-/accounts"
    lang: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] = "en"
    """Language of a person who has chosen none."""
    register: Register = Register.INVITE
    token_life_s: Annotated[float, Field(ge=30, le=1800)] = 600.0
    session_idle_s: Seconds = 86400.0
    """A session not refreshed for this long has ended."""
    session_life_s: Seconds = 14 * 86400.0
    """A session ends this long after the login, used or not."""
    invite_life_s: Seconds = 7 * 86400.0
    reset_life_s: Seconds = 3600.0
    device_life_s: Seconds = 180 * 86400.0
    """How long a browser that has logged in keeps its own allowance of tries."""
    recent_s: Seconds = 900.0
    """How fresh a login must be for changing passwords and factors."""
    second_factor: SecondFactor = SecondFactor.OPTIONAL
    passwords: bool = True
    passkeys: bool = True
    password_length_min: Annotated[int, Field(ge=8, le=128)] = 12
    breached: str = ""
    """``module:callable`` (password -> bool), an absolute file of sorted SHA-1 hashes, or empty."""
    argon2: Argon2Cost = Argon2Cost()
    hashes_at_once_max: Annotated[int, Field(ge=1, le=64)] = 2
    providers: tuple[Provider, ...] = ()
    mail: Mail | None = None
    """None: no mail is sent; administrators pass links on."""
    roles: Mapping[Name, tuple[str, ...]] = field(default_factory=lambda: {"admin": (ALL,)})
    """Role to permissions, flattened: what a role includes is already in it."""

    @property
    def administrator_roles(self) -> tuple[str, ...]:
        """Return the roles that grant everything, in alphabetical order."""
        return tuple(sorted(name for name, granted in self.roles.items() if ALL in granted))

    @property
    def secure(self) -> bool:
        """Tell whether people reach the site by TLS, as its public URL says."""
        return self.public_url.startswith("https://")

    def link(self, secret: str) -> str:
        """Return the address of the one-time link that carries `secret`."""
        return f"{self.public_url}{self.mount}/{LINK_PATH}/{secret}"

    def provider(self, name: str) -> Provider | None:
        """Return the provider of that name."""
        return next((p for p in self.providers if p.name == name), None)

    def to_json(self) -> str:
        """Return the document for `MERGEPOINT_ACCOUNTS`; it holds secrets."""
        return _ADAPTER.dump_json(self).decode()


_ADAPTER: TypeAdapter[AccountsSettings] = TypeAdapter(AccountsSettings)


def read(environ: Mapping[str, str]) -> AccountsSettings:
    """Return the checked settings; raise `SettingsRefused` with every error."""
    text = environ.get(VARIABLE, "")
    if not text:
        raise SettingsRefused(
            f"{VARIABLE} is not set; the accounts app runs as an app of a site with [identity]",
            next="mergepoint run",
        )
    return from_json(text)


def from_json(text: str | bytes) -> AccountsSettings:
    """Return the checked settings of one JSON document; raise `SettingsRefused`."""
    try:
        settings = _ADAPTER.validate_json(text, strict=True)
    except ValidationError as error:
        raise _refusal([_words(dict(e)) for e in error.errors(include_url=False)]) from None
    return checked(settings)


def checked(settings: AccountsSettings) -> AccountsSettings:
    """Return `settings` when its parts fit each other; raise `SettingsRefused` with every error."""
    wrong = [*_places(settings), *_entrances(settings), *_lives(settings), *_roles(settings)]
    if wrong:
        raise _refusal(wrong)
    return settings


def _words(error: Mapping[str, Any]) -> str:
    """Say one shape error: the place, what is wrong, and never the value, which may be secret."""
    place = ".".join(str(part) for part in error["loc"]) or VARIABLE
    return f"{place}: {error['msg']}"


def _refusal(lines: list[str]) -> SettingsRefused:
    return SettingsRefused(
        "\n".join([f"{VARIABLE}: {len(lines)} wrong", *(f"  {line}" for line in lines)]),
        next="mergepoint check",
    )


def _places(s: AccountsSettings) -> list[str]:
    wrong = []
    for name, path in (("keys_dir", s.keys_dir), ("state_dir", s.state_dir)):
        if not path.is_absolute():
            wrong.append(f"{name}: must be an absolute path")
    if not re.match(r"(sqlite:////|postgresql(\+psycopg)?://)[^?#]", s.database):
        wrong.append("database: must be sqlite:////absolute/path or postgresql://...")
    if not _is_origin(s.public_url):
        wrong.append("public_url: must be http(s)://host[:port] without a path")
    plain = s.mail is not None and s.mail.security is MailSecurity.NONE
    if s.mail is not None and plain and not _is_loopback(s.mail.host):
        wrong.append("mail.security: 'none' is for this machine alone")
    if s.breached.startswith("/"):
        if not Path(s.breached).is_file():
            wrong.append("breached: there is no such file")
    elif s.breached and not re.fullmatch(r"[\w.]+:[\w.]+", s.breached):
        wrong.append("breached: must be module:callable or an absolute path")
    return wrong


def _entrances(s: AccountsSettings) -> list[str]:
    wrong = []
    if not (s.passwords or s.passkeys or s.providers):
        wrong.append("passwords: nobody could log in; switch on passwords, passkeys or a provider")
    names = [p.name for p in s.providers]
    wrong += [f"providers: two are named {n!r}" for n in sorted(set(names)) if names.count(n) > 1]
    for place, provider in enumerate(s.providers):
        if not _is_issuer(provider.issuer):
            wrong.append(f"providers.{place}.issuer: must be https:// (http on this machine only)")
        if "openid" not in provider.scopes:
            wrong.append(f"providers.{place}.scopes: 'openid' is missing")
        unknown = {r for roles in provider.role_map.values() for r in roles} - set(s.roles)
        wrong += [f"providers.{place}.role_map: no role {name!r}" for name in sorted(unknown)]
    return wrong


def _lives(s: AccountsSettings) -> list[str]:
    wrong = []
    if s.session_idle_s > s.session_life_s:
        wrong.append("session_idle_s: must not be longer than session_life_s")
    if s.token_life_s > s.session_idle_s:
        wrong.append("token_life_s: must not be longer than session_idle_s")
    if s.argon2.memory_kib < 8 * s.argon2.lanes:
        wrong.append("argon2.memory_kib: at least 8 for each lane")
    return wrong


def _roles(s: AccountsSettings) -> list[str]:
    if s.administrator_roles:
        return []
    return [f"roles: none grants {ALL!r}, so nobody could administer the site"]


def _is_origin(text: str) -> bool:
    parts = _split(text)
    return parts is not None and parts[0] in {"http", "https"} and not parts[2]


def _is_issuer(text: str) -> bool:
    parts = _split(text)
    if parts is None:
        return False
    return parts[0] == "https" or (parts[0] == "http" and _is_loopback(parts[1]))


def _split(text: str) -> tuple[str, str, str] | None:
    """Return scheme, host and the rest of a URL; None when it is none."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.username is not None:
        return None
    return parts.scheme, host, parts.path + parts.query + parts.fragment


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
