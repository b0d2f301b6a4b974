"""A real mail server on a free port, which refuses as long as it is told to.

Place:  tests/forge_tasks -> [mail_server] -> aiosmtpd
Rule:   what it took and what it refused can be counted.
"""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from mergepoint_testkit.peers import free_port

AGAIN, NEVER = "451 Try again later", "550 Nobody of that name"


class MailServer:
    """Takes letters; `answers` are given first, one for each letter that comes."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.refused: list[EmailMessage] = []
        self.taken: list[EmailMessage] = []
        port = free_port()
        self.url = f"smtp://127.0.0.1:{port}"
        self._controller = Controller(self, hostname="127.0.0.1", port=port)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        letter = message_from_bytes(envelope.content, policy=policy.default)
        if self.answers:
            self.refused.append(letter)
            return self.answers.pop(0)
        self.taken.append(letter)
        return "250 OK"

    def taken_by(self, user: str) -> list[EmailMessage]:
        """Return what was taken for somebody."""
        return [letter for letter in self.taken if str(letter["To"]).startswith(f"{user}@")]

    def __enter__(self) -> MailServer:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()
