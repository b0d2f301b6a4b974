"""Hand one letter to the mail server, within a time, over a way that cannot be read.

Place:  service.mailer, cli -> [service.smtp] -> the mail server (RFC 5321, 3207, 8314)
Rule:   a server that offers no TLS where it is asked for gets nothing; what it says goes to the
        operator alone.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from pathlib import Path

from mergepoint.core.errors import MergepointError
from mergepoint.identity.accounts.config import Mail, MailSecurity

PASSWORD_BYTES_MAX = 4096
SAID_MAX = 200


class MailFailed(MergepointError):
    """A letter was not taken; `again` says whether another try may help."""

    code = "accounts.mail"

    def __init__(self, message: str, *, again: bool, next: str = "") -> None:  # noqa: A002
        super().__init__(message, next=next)
        self.again = again


def hand_over(mail: Mail, message: EmailMessage) -> None:
    """Give the server one letter; once this returns it has promised to deliver it.

    Raises `MailFailed` saying why not. Takes at most `mail.timeout_s`, and what the system takes to
    find the server's address.
    """
    try:
        with _connected(mail) as client:
            client.send_message(message)
    except smtplib.SMTPResponseException as error:
        raise _refused(error.smtp_code, error.smtp_error) from None
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()), (550, b""))
        raise _refused(code, said) from None
    except smtplib.SMTPNotSupportedError as error:
        raise MailFailed(f"the server lacks what is asked for: {error}", again=False) from None
    except ssl.SSLError as error:
        raise MailFailed(f"no TLS with the server: {error.reason or error}", again=True) from None
    except (OSError, smtplib.SMTPException) as error:
        raise MailFailed(f"{type(error).__name__}: {error}"[:SAID_MAX], again=True) from None


@contextmanager
def _connected(mail: Mail) -> Iterator[smtplib.SMTP]:
    """Give a client that has greeted the server, over TLS and logged in as far as is wished."""
    context = ssl.create_default_context(cafile=mail.ca or None)
    secret = _password(mail)
    client = _client(mail, context)
    with _bounded(client, mail.timeout_s):
        try:
            code, said = client.connect(mail.host, mail.port)
            if code != 220:
                raise smtplib.SMTPConnectError(code, said)
            if mail.security is MailSecurity.STARTTLS:
                client.starttls(context=context)
            if mail.user:
                client.login(mail.user, secret)
            yield client
        finally:
            with suppress(OSError, smtplib.SMTPException):
                client.quit()
            client.close()


def _client(mail: Mail, context: ssl.SSLContext) -> smtplib.SMTP:
    """Return a client that has not connected yet, so that the timer covers all that follows."""
    # Asking for the machine's full name, as smtplib would, may wait for a name server.
    here = socket.gethostname()
    client: smtplib.SMTP
    if mail.security is MailSecurity.TLS:
        client = smtplib.SMTP_SSL(local_hostname=here, timeout=mail.timeout_s, context=context)
    else:
        client = smtplib.SMTP(local_hostname=here, timeout=mail.timeout_s)
    # The name that TLS checks; only a constructor that connects at once would set it.
    client._host = mail.host  # type: ignore[attr-defined]
    return client


@contextmanager
def _bounded(client: smtplib.SMTP, seconds: float) -> Iterator[None]:
    """End the connection after so long: each answer may come in time and all together too late."""

    def end() -> None:
        late.set()
        if client.sock is not None:
            with suppress(OSError):
                client.sock.shutdown(socket.SHUT_RDWR)

    late = threading.Event()
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, smtplib.SMTPServerDisconnected):
        if late.is_set():
            raise TimeoutError(f"the server took longer than {seconds:g} s") from None
        raise
    finally:
        timer.cancel()


def _password(mail: Mail) -> str:
    if not mail.password_file:
        return mail.password
    with Path(mail.password_file).open("rb") as file:
        return file.read(PASSWORD_BYTES_MAX).decode("utf-8", "replace").rstrip("\r\n")


def _refused(code: int, said: bytes | str) -> MailFailed:
    """Return the server's own words; 4yz may be tried again, 5yz is final (RFC 5321 4.2.1)."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    text = "".join(c if c.isprintable() else " " for c in text)[:SAID_MAX]
    return MailFailed(f"the server says {code} {text}".rstrip(), again=code < 500)
