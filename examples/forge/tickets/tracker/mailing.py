"""Notifications as mail: the letter, and the way it leaves this machine.

Place:  jobs -> [mailing] -> smtplib
Rule:   without a mail server, letters are kept where `/mails` shows them; nothing else is sent.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from sqlalchemy.orm import Session

from tracker.models import Notification
from tracker.settings import Settings

SERVER_S_MAX = 15.0
"""How long a mail server may take for each step."""
KEPT_MAX = 200
"""Letters that are kept without a server, and shown."""
PERMANENT = 500
"""A server that answers from here on will not change its mind (RFC 5321, section 4.2.1)."""
HEADER_CHARS_MAX = 200


class Refused(Exception):
    """The server will never take this letter; the message says why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A letter that nobody sent, for the page that shows them."""

    to: str
    subject: str
    text: str
    at: datetime


def letter(session: Session, notification: int, settings: Settings) -> EmailMessage:
    """Return the mail of a notification; sent twice, it has the same Message-ID."""
    found = session.get_one(Notification, notification)
    link = f"{settings.site_url}{settings.mount}{found.ticket_id}"
    made = EmailMessage(policy=policy.SMTP)
    made["From"], made["To"] = settings.mail_from, found.email
    made["Subject"] = _line(f"[#{found.ticket_id}] {found.ticket.title}")
    made["Date"] = found.created_at
    made["Message-ID"] = f"<tickets-{notification}@{urlsplit(settings.site_url).hostname}>"
    made["Auto-Submitted"] = "auto-generated"
    words = f"\n{found.words}\n" if found.words else ""
    made.set_content(f"{found.by} {found.said}: {found.ticket.title}\n{words}\n{link}\n")
    return made


def send(made: EmailMessage, settings: Settings) -> str:
    """Send a letter and say where it went; raise `Refused`, or what the way to the server raised.

    Without a server it is kept in `Settings.mails`.
    """
    if not settings.smtp_url:
        return _keep(made, settings)
    try:
        with _server(settings.smtp_url) as server:
            server.send_message(made)
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        if code >= PERMANENT:
            raise Refused(f"{made['To']}: {code} {text.decode(errors='replace')}") from error
        raise
    except smtplib.SMTPResponseException as error:
        if error.smtp_code >= PERMANENT:
            raise Refused(f"{error.smtp_code} {error.smtp_error!r}") from error
        raise
    return f"sent to {made['To']}"


def kept(settings: Settings) -> list[Kept]:
    """Return the letters that were kept for want of a server, newest first."""
    files = sorted(settings.mails.glob("*.eml"), reverse=True)[:KEPT_MAX]
    letters = [message_from_bytes(file.read_bytes(), policy=policy.SMTP) for file in files]
    return [
        Kept(str(m["To"]), str(m["Subject"]), m.get_content(), m["Date"].datetime) for m in letters
    ]


def _keep(made: EmailMessage, settings: Settings) -> str:
    settings.mails.mkdir(parents=True, exist_ok=True)
    number = str(made["Message-ID"]).strip("<>").partition("@")[0].rpartition("-")[2]
    file = settings.mails / f"{int(number):09}.eml"
    unfinished = file.with_suffix(".part")
    unfinished.write_bytes(bytes(made))
    unfinished.rename(file)
    for old in sorted(settings.mails.glob("*.eml"))[:-KEPT_MAX]:
        old.unlink(missing_ok=True)
    return f"kept as {file.name}: FORGE_SMTP names no server"


@contextmanager
def _server(url: str) -> Iterator[smtplib.SMTP]:
    """Lend a connection to `smtp://` (with STARTTLS if offered) or `smtps://[user:password@]`."""
    parts = urlsplit(url)
    host, tls = parts.hostname or "localhost", ssl.create_default_context()
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, parts.port or 465, timeout=SERVER_S_MAX, context=tls
        )
    else:
        server = smtplib.SMTP(host, parts.port or 25, timeout=SERVER_S_MAX)
    with server:
        server.ehlo()
        if parts.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=tls)
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        yield server


def _line(text: str) -> str:
    return " ".join(text.split())[:HEADER_CHARS_MAX]
