"""What is written to people: one-time links as plain text, in their language.

Place:  pages.wiring, cli -> [pages.letters] -> pages.language, service.mailer
Rule:   what cannot be sent is told to the operator, never to whoever asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid, parseaddr

from mergepoint.core.clock import Clock
from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.pages import language
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.links import Purpose
from mergepoint.identity.accounts.service.mailer import Letter, Mailer
from mergepoint.identity.accounts.service.smtp import MailFailed

Deliver = Callable[[Letter, Caller], None]
"""Takes a one-time link to somebody, or sees to it that somebody else does."""

log = logging.getLogger("mergepoint.accounts")


def tell_operator(letter: Letter, _by: Caller) -> None:
    """Say in the log who waits for a link, and how to make one; a link itself is a password."""
    if letter.link.info.purpose is Purpose.RESET:
        log.warning("%s asked for a new password; next: %s", letter.user, letter.following)
    else:
        log.info("a link was made for %r; the page that made it shows it", letter.email)


def by_mail(mailer: Mailer, settings: AccountsSettings, clock: Clock) -> Deliver:
    """Return what hands letters to the mailer; the operator is told of those without an address."""

    def deliver(letter: Letter, by: Caller) -> None:
        if not letter.email:
            tell_operator(letter, by)
            return
        try:
            message = composed(letter, settings, clock)
        except (ValueError, MessageError):
            mailer.lost(letter, by, 0, "no letter can bear this address")
            return
        mailer.post(letter, message, by)

    return deliver


def send_now(accounts: Accounts, letter: Letter, by: Caller) -> None:
    """Send one letter and wait for it; raise `MailFailed` when the server did not take it."""
    if accounts.mailer is None:
        raise MailFailed("this site sends no mail", again=False, next="add [identity.mail]")
    if not letter.email:
        raise MailFailed("there is no address to send it to", again=False)
    try:
        message = composed(letter, accounts.settings, accounts.clock)
    except (ValueError, MessageError):
        raise MailFailed(f"no letter can bear the address {letter.email!r}", again=False) from None
    accounts.mailer.send(letter, message, by)


def composed(letter: Letter, settings: AccountsSettings, clock: Clock) -> EmailMessage:
    """Return the letter (RFC 5322), marked as written by a program (RFC 3834).

    Raises `ValueError` or `MessageError` for an address that no letter can bear.
    """
    if settings.mail is None:
        raise ValueError("this site sends no mail")
    say = language.speech(language.choose((letter.lang,), settings.lang))
    info = letter.link.info
    site = settings.title or settings.site
    values = {"site": site, "user": letter.user, "email": letter.email}
    until = f"{datetime.fromtimestamp(info.expires_at, UTC):%Y-%m-%d %H:%M} UTC"
    _, sender = parseaddr(settings.mail.sender)
    message = EmailMessage()
    message["From"] = settings.mail.sender
    message["To"] = str(Address(addr_spec=letter.email))
    message["Subject"] = say(f"mail.{info.purpose}_subject", **values)
    message["Date"] = format_datetime(datetime.fromtimestamp(clock.unix_s(), UTC))
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = say.lang
    parts = [
        say(f"mail.{info.purpose}_text", **values),
        letter.link.url,
        say("mail.until", until=until),
        say(f"mail.{info.purpose}_else"),
    ]
    message.set_content("\n\n".join(parts) + "\n", cte="quoted-printable")
    return message
