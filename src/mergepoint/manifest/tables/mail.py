"""``[identity.mail]``: how one-time links travel to people.

Place:  manifest.validate -> [manifest.tables.mail] -> manifest.tables.identity
Rule:   shape and single values only; a password is never written in the address.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parseaddr
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field

from mergepoint.manifest.access import MailSecurity
from mergepoint.manifest.tables.amounts import Duration, refused
from mergepoint.manifest.tables.forms import referenced
from mergepoint.manifest.tables.table import Table, key

SCHEMES = {
    "smtp": (MailSecurity.STARTTLS, 587),
    "smtps": (MailSecurity.TLS, 465),
    "smtp+plain": (MailSecurity.NONE, 25),
}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
SENDER_MAX = 320
_FIX = 'write "smtp://user@mail.example.org:587", or "smtps://..." for TLS from the start'


@dataclass(frozen=True, slots=True)
class SmtpAddress:
    """A mail server, and the name one logs in to it with; empty: without a login."""

    security: MailSecurity
    host: str
    port: int
    user: str


def parse_smtp(text: str) -> SmtpAddress:
    """Return what ``smtp://user@host:587`` means; raise when it is no such address."""
    try:
        url = urlsplit(text)
        host, port, user = url.hostname or "", url.port, unquote(url.username or "")
        password = url.password
    except ValueError:
        raise refused("is not the address of a mail server", _FIX) from None
    if password is not None:
        raise refused("holds a password", 'leave it out and write password = "env:SMTP_PASSWORD"')
    known = SCHEMES.get(url.scheme)
    if known is None or not host or port == 0 or url.path.strip("/") or url.query or url.fragment:
        raise refused("is not the address of a mail server", _FIX)
    if not (host + user).isprintable() or " " in host:
        raise refused("is not the address of a mail server", _FIX)
    security, usual = known
    if security is MailSecurity.NONE and host not in LOOPBACK:
        raise refused(
            "would send links that are as good as passwords through a network for all to read",
            'write "smtp://...", which asks for STARTTLS; smtp+plain is for this machine alone',
        )
    return SmtpAddress(security, host, port or usual, user)


def _smtp(text: str) -> str:
    parse_smtp(text)
    return text


def _sender(text: str) -> str:
    _, address = parseaddr(text)
    name, _, host = address.rpartition("@")
    if not (name and host) or not text.isprintable() or " " in address:
        raise refused("is not an address of mail", 'write "Acme <accounts@example.org>"')
    return text


class MailTable(Table):
    """How one-time links travel to people; without it administrators pass them on."""

    smtp: Annotated[str, AfterValidator(_smtp)] = key(
        'Mail server: "smtp://user@host:587" asks for STARTTLS, "smtps://user@host:465" is TLS '
        'from the start, "smtp+plain://localhost:25" is for this machine alone.',
        ...,
    )
    sender: Annotated[str, AfterValidator(_sender)] = key(
        'Whom letters come from: "Acme <accounts@example.org>".', ..., max_length=SENDER_MAX
    )
    password: Annotated[str, AfterValidator(referenced)] | None = key(
        'Password at the mail server, as the name of a variable: "env:SMTP_PASSWORD".',
        stands_for="none",
        min_length=1,
    )
    password_file: str | None = key(
        "File that holds it instead, read again for every letter.", stands_for="none", min_length=1
    )
    ca: str | None = key(
        "File of certificates (PEM) that the server's must descend from.",
        stands_for="those the system trusts",
        min_length=1,
    )
    timeout_s: Duration = key("Seconds the server gets to take one letter.", 10.0)
    queue_max: Annotated[int, Field(ge=1, le=10_000)] = key(
        "Letters a process of accounts holds; one more is refused, and the audit log says so.", 100
    )
    attempts_max: Annotated[int, Field(ge=1, le=20)] = key(
        "How often a letter is tried that the server did not refuse for good.", 5
    )
    retry_s: Duration = key("Seconds before it is tried again; doubles each time.", 30.0)
