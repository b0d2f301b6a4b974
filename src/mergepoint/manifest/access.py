"""Who may use what: identity, roles and the guards of an app, resolved.

Place:  manifest.resolve_identity -> [manifest.access] -> manifest.site, edge.compile, assembly, cli
Rule:   frozen data only; a secret is never in a repr; contracts.md section 5 names the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mergepoint.manifest.origin import Origin

ACCOUNTS = "accounts"
"""The name of the built-in app that knows people."""
ADMIN = "admin"
"""The role every site has; it grants everything unless the manifest says otherwise."""
PUBLIC = ("public",)
SESSION_DAYS_MAX = 30
SESSION_IDLE_DAYS_MAX = 14
TOKEN_LIFE_S = 600.0
PASSWORD_LENGTH_MIN = 12


class Register(StrEnum):
    """Who may make an account for themselves."""

    OPEN = "open"
    INVITE = "invite"
    CLOSED = "closed"


class SecondFactor(StrEnum):
    """Whether a password needs a second proof beside it."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Cookies(StrEnum):
    """What becomes of an app's cookies."""

    CONFINE = "confine"
    SHARE = "share"


class Authorization(StrEnum):
    """What becomes of an Authorization header that was proven by the site itself."""

    CONSUME = "consume"
    PASS = "pass"  # noqa: S105 - a word of the manifest


@dataclass(frozen=True, slots=True)
class SecretText:
    """A text that no message shows; `variable` is where it came from, empty when it is literal."""

    value: str = field(repr=False, default="")
    variable: str = ""

    @property
    def shown(self) -> str:
        """What people may see of it: the variable's name, or stars; empty when there is none."""
        return f"env:{self.variable}" if self.variable else "***" if self.value else ""


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may reach a path below the mount; no `methods` means all, and GET covers HEAD."""

    path: str
    methods: tuple[str, ...]
    require: tuple[str, ...]
    origin: Origin


@dataclass(frozen=True, slots=True)
class Access:
    """What an app asks of who comes; `require` holds where no guard matches."""

    require: tuple[str, ...]
    origin: Origin
    """Where `require` stands: with the app, or with [identity]."""
    guards: tuple[Guard, ...] = ()
    csrf_exempt: tuple[str, ...] = ()
    cookies: Cookies = Cookies.CONFINE
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case header name to ``user``, ``name``, ``email``, ``groups`` or ``roles``."""
    authorization: Authorization = Authorization.CONSUME


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions; `granted` has those of the included roles in it, sorted."""

    name: str
    permissions: tuple[str, ...]
    includes: tuple[str, ...]
    granted: tuple[str, ...]
    origin: Origin


@dataclass(frozen=True, slots=True)
class Oidc:
    """A provider people may log in with; `roles` is from its group names to ours."""

    name: str
    issuer: str
    client_id: str
    client_secret: SecretText
    scopes: tuple[str, ...]
    groups_claim: str
    roles: Mapping[str, str]
    allow_signup: bool
    origin: Origin


class MailSecurity(StrEnum):
    """How the way to a mail server is kept from being read."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Mail:
    """Who takes letters to people, and how patiently; files are absolute, empty where not given."""

    host: str
    port: int
    security: MailSecurity
    user: str
    password: SecretText
    password_file: str
    sender: str
    ca: str
    timeout_s: float
    queue_max: int
    attempts_max: int
    retry_s: float
    origin: Origin


@dataclass(frozen=True, slots=True)
class Identity:
    """How people prove who they are; `mount` is where the accounts app answers on every host."""

    mount: str
    public_url: str
    """Scheme, host and port as people type them; empty when nobody can know them."""
    database: SecretText
    """A database URL; relative SQLite files are already absolute."""
    register: Register
    session_days_max: int
    session_idle_days_max: int
    token_life_s: float
    second_factor: SecondFactor
    passwords: bool
    passkeys: bool
    password_length_min: int
    breached: str
    """An absolute file, ``module:callable``, or empty: nothing is looked up."""
    require: tuple[str, ...]
    oidc: tuple[Oidc, ...]
    mail: Mail | None
    """None: the site sends no mail."""
    origin: Origin
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Where each written key below [identity] stands."""
