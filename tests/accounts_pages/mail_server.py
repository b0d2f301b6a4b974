"""A real mail server on this machine: aiosmtpd, and two that only pretend to be one.

Place:  tests -> [mail_server] -> aiosmtpd
Rule:   what arrives is handed over by a queue, so that tests wait for letters and not for time.
"""

from __future__ import annotations

import queue
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from mergepoint_testkit.peers import free_port

LETTER_S_MAX = 60.0
LINK = re.compile(r"http://\S+/-/accounts/link/\S+")


@dataclass
class Box:
    """What the server took, and what it is to answer before that."""

    port: int
    answers: list[str] = field(default_factory=list)
    """One for each RCPT to come; then everything is taken."""
    repeats: bool = False
    """Whether it refuses letters and repeats the link in them."""
    letters: queue.Queue[EmailMessage] = field(default_factory=queue.Queue)
    to: list[str] = field(default_factory=list)
    over_tls: list[bool] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - the library calls it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - the library calls it
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.to += envelope.rcpt_tos
        assert server.transport is not None
        self.over_tls.append(server.transport.get_extra_info("sslcontext") is not None)
        content = envelope.content
        assert isinstance(content, bytes)
        if self.repeats:
            letter = message_from_bytes(content, policy=policy.default)
            return f"554 5.7.1 unwanted {link_in(letter)}"  # type: ignore[arg-type]
        self.letters.put(message_from_bytes(content, policy=policy.default))  # type: ignore[arg-type]
        return "250 taken"

    def letter(self) -> EmailMessage:
        """Wait for the next letter."""
        return self.letters.get(timeout=LETTER_S_MAX)


def link_in(letter: EmailMessage) -> str:
    """Return the one link of a letter."""
    [link] = LINK.findall(letter.get_content())
    return str(link)


@contextmanager
def mail_server(
    *answers: str,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    login: tuple[str, str] | None = None,
) -> Iterator[Box]:
    """Lend a mail server; `answers` are its first to RCPT."""
    box = Box(free_port(), list(answers))

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and login is not None
        right = right and (data.login.decode(), data.password.decode()) == login
        return AuthResult(success=right, handled=right)

    options: dict[str, Any] = {}
    if login:
        options = {"authenticator": check, "auth_required": True}
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=box.port,
        ssl_context=tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        auth_require_tls=tls is None,
        ready_timeout=LETTER_S_MAX,
        **options,
    )
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


@contextmanager
def silent_server(*, drip: bytes = b"") -> Iterator[int]:
    """Lend the port of a server that never says a whole line, if it says anything."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)

        def serve() -> None:
            held: list[socket.socket] = []
            while not ended.is_set():
                with suppress(TimeoutError):
                    held.append(listener.accept()[0])
                for visitor in held if drip else []:
                    try:
                        visitor.send(drip)
                    except OSError:
                        held.remove(visitor)
            for visitor in held:
                visitor.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            thread.join(LETTER_S_MAX)
