"""A running site sends its links: the worker, its thread for letters and its end, all real."""

from __future__ import annotations

import queue
import tempfile
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from mergepoint_testkit.peers import free_port
from mergepoint_testkit.people import MOUNT, people_of
from mergepoint_testkit.sites import RunningSite, running_site
from mergepoint_testkit.visitor import Visitor

from .waiting import assert_soon

pytestmark = pytest.mark.real

LETTER_S_MAX = 60.0
MANIFEST = """\
[site]
name = "acme"
listen = "127.0.0.1:{port}"
access_log = "off"

[identity]
public_url = "http://127.0.0.1:{port}"

[identity.mail]
smtp = "smtp+plain://127.0.0.1:{smtp}"
sender = "accounts@acme.example"
retry_s = 3600.0

[apps.hello]
wsgi = "hello:application"
"""
HELLO = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


class Box:
    """What a mail server took; the first letters of `refused` are put off."""

    def __init__(self) -> None:
        self.letters: queue.Queue[EmailMessage] = queue.Queue()
        self.put_off = 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.put_off:
            self.put_off -= 1
            return "451 later"
        self.letters.put(message_from_bytes(envelope.content, policy=policy.default))
        return "250 taken"


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def sending(box: Box) -> Iterator[RunningSite]:
    server = Controller(box, hostname="127.0.0.1", port=free_port(), ready_timeout=LETTER_S_MAX)
    server.start()
    try:
        with tempfile.TemporaryDirectory(prefix="mp-") as name:
            (Path(name) / "hello.py").write_text(HELLO)
            text = MANIFEST.replace("{smtp}", str(server.port))
            with running_site(Path(name), text) as site:
                yield site
    finally:
        server.stop()


def test_a_link_arrives_and_one_that_could_not_leave_is_written_down(
    sending: RunningSite, box: Box
) -> None:
    with people_of(sending) as people:
        rosa = people.add("rosa")
        people.accounts.people.edit(rosa.sub, people._by, email="rosa@acme.example")
        asked = Visitor(sending.port)
        page = asked.request("GET", f"{MOUNT}/forgot")
        assert asked.submit(page, "user", user="rosa").status == 200
        letter = box.letters.get(timeout=LETTER_S_MAX)
        [link] = [line for line in letter.get_content().splitlines() if "/link/" in line]
        path = link.partition(str(sending.port))[2]
        chosen = Visitor(sending.port)
        form = chosen.request("GET", path)
        assert chosen.submit(form, "password", password="nine plums under it").status == 303

        box.put_off = 1
        ada = people.add("ada")
        people.accounts.people.edit(ada.sub, people._by, email="ada@acme.example")
        page = asked.request("GET", f"{MOUNT}/forgot")
        assert asked.submit(page, "user", user="ada").status == 200

        def events() -> list[str]:
            return [row.event for row in people.accounts.audit.read(event="mail.")]

        assert_soon(lambda: events() == ["mail.retried", "mail.sent"], LETTER_S_MAX)
        sending.run("restart", "accounts")
        assert_soon(lambda: events() == ["mail.failed", "mail.retried", "mail.sent"], LETTER_S_MAX)
        last = people.accounts.audit.read(event="mail.")[0]
        assert (last.target, last.detail["why"]) == (ada.sub, "accounts was stopped")
