"""Who asks: one person or service as the edge proved it, frozen for the length of a request.

Place:  host.who, identity.verify -> [identity.subject] -> the user's code
Rule:   an identity that nobody looks at is never decoded; standard library, Python 3.8 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from . import contract, permissions

_TOKEN = "_token"  # noqa: S105 - a name


@dataclass(frozen=True)
class Identity:
    """A person, a service or nobody (`anonymous`).

    `sub` is stable for ever and is what to store; `user` is the name one logs in with. `auth_time`
    is when (Unix seconds) and `amr` by what means the login happened; `session` is the same for
    all requests of one login and is no secret. Texts are empty and lists are () when unknown.
    """

    # Factories instead of defaults: a default would stand on the class, where `__getattr__`,
    # which decodes at the first look, is never asked.
    sub: str = field(default_factory=str)
    user: str = field(default_factory=str)
    name: str = field(default_factory=str)
    email: str = field(default_factory=str)
    kind: str = field(default_factory=str)
    roles: tuple[str, ...] = field(default_factory=tuple)
    groups: tuple[str, ...] = field(default_factory=tuple)
    permissions: tuple[str, ...] = field(default_factory=tuple)
    lang: str = field(default_factory=str)
    amr: tuple[str, ...] = field(default_factory=tuple)
    auth_time: float = field(default_factory=float)
    session: str = field(default_factory=str)

    @property
    def anonymous(self) -> bool:
        """Tell whether nobody was proven."""
        return not self.sub

    def has_role(self, role: str) -> bool:
        """Tell whether the site gave this role."""
        return role in self.roles

    def in_group(self, group: str) -> bool:
        """Tell whether this is a member of a group."""
        return group in self.groups

    def may(self, permission: str) -> bool:
        """Tell whether some role grants `permission`; `*` and `tickets.*` grant as they say."""
        return not self.anonymous and permissions.grants(self.permissions, permission)

    def __getattr__(self, name: str) -> Any:
        """Decode at the first look; only reached while a field is not there yet."""
        if name not in FIELDS:
            raise AttributeError(f"an Identity has no attribute {name!r}")
        token = self.__dict__.get(_TOKEN, "")
        if token:
            self.__dict__.update(contract.fields(contract.claims(token)))
            self.__dict__[_TOKEN] = ""  # kept as a sign: another thread may be on its way here
        return self.__dict__[name]

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FIELDS}


FIELDS = frozenset(Identity.__dataclass_fields__)
ANONYMOUS = Identity()


def arrived(token: str) -> Identity:
    """Return the identity of a token that only the edge can have sent; decoded at the first look.

    A token that cannot be read raises `IdentityUnreadable` at that first look.
    """
    made = object.__new__(Identity)
    made.__dict__[_TOKEN] = token
    return made


def of_claims(told: dict[str, Any]) -> Identity:
    """Return the identity that verified claims describe; raise `IdentityUnreadable`."""
    return Identity(**contract.fields(told))
