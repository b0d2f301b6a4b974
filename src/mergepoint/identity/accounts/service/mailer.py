"""Letters on their way: a bounded queue, one thread, tries with growing pauses.

Place:  pages, cli -> [service.mailer] -> service.smtp, service.audit
Rule:   nobody who waits for a page waits for a mail server; whatever becomes of a letter stands in
        the audit log, and a link is never in it.

The queue is memory: a link is a password for a while, and of those the database keeps hashes alone.
"""

from __future__ import annotations

import heapq
import logging
import re
import threading
from dataclasses import dataclass, field, replace
from email.message import EmailMessage

from mergepoint.core.clock import Clock
from mergepoint.core.errors import MergepointError
from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import LINK_PATH, Mail
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.service.audit import Audit
from mergepoint.identity.accounts.service.links import IssuedLink, Purpose
from mergepoint.identity.accounts.service.smtp import MailFailed, hand_over

PAUSE_S_MAX = 3600.0

_LINK = re.compile(rf"(/{LINK_PATH}/)\S+")

log = logging.getLogger("mergepoint.accounts")


@dataclass(frozen=True, slots=True)
class Letter:
    """A one-time link for somebody; `user` is empty where nobody has an account yet."""

    link: IssuedLink = field(repr=False)
    email: str
    user: str = ""
    lang: str = ""

    def without_link(self, said: str) -> str:
        """Return what a server said without the link; some repeat what they refuse, or a part."""
        return _LINK.sub(r"\1***", said).replace(self.link.secret, "***")

    @property
    def following(self) -> str:
        """Return what makes another link."""
        if self.link.info.purpose is Purpose.RESET:
            return f"mergepoint users passwd {self.user} --link"
        if self.link.info.purpose is Purpose.INVITE:
            return f"mergepoint users invite --email {self.email}"
        return "they save the address in their profile again"


@dataclass(order=True, slots=True)
class _Waiting:
    """A letter and when it is tried next."""

    due_s: float
    number: int
    letter: Letter = field(compare=False)
    message: EmailMessage = field(compare=False)
    by: Caller = field(compare=False)
    tries: int = field(default=0, compare=False)


class Mailer:
    """Sends letters in the background; its thread begins with the first of them."""

    def __init__(self, mail: Mail, audit: Audit, clock: Clock) -> None:
        self.mail = mail
        self._audit = audit
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._held = 0
        self._number = 0
        self._stopping = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def post(self, letter: Letter, message: EmailMessage, by: Caller) -> bool:
        """Take a letter; False when `queue_max` are held already, which the audit log says then."""
        with self._changed:
            taken = self._held < self.mail.queue_max and not self._stopping
            if taken:
                self._held += 1
                self._number += 1
                now_s = self._clock.monotonic_s()
                heapq.heappush(
                    self._waiting, _Waiting(now_s, self._number, letter, message, replace(by))
                )
                self._begin()
                self._changed.notify()
        if not taken:
            self.lost(letter, by, 0, f"{self.mail.queue_max} letters wait already")
        return taken

    def send(self, letter: Letter, message: EmailMessage, by: Caller) -> None:
        """Send one letter now, in one try; raise `MailFailed` when it was not taken."""
        try:
            hand_over(self.mail, message)
        except MailFailed as failed:
            self.lost(letter, by, 1, letter.without_link(failed.message))
            raise
        self._write(Event.MAIL_SENT, letter, by, tries=1)

    def stop(self) -> None:
        """Try each letter that was never tried, write down the rest as failed, and end.

        Takes no longer than a letter may (`timeout_s`). Again changes nothing.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(self.mail.timeout_s)
        with self._changed:
            left, self._waiting = self._waiting, []
        for waiting in left:
            self.lost(waiting.letter, waiting.by, waiting.tries, "accounts was stopped")

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="mail", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (waiting := self._next()) is not None:
            again = self._try(waiting)
            with self._changed:
                if again:
                    heapq.heappush(self._waiting, waiting)
                else:
                    self._held -= 1

    def _next(self) -> _Waiting | None:
        """Return the letter that is due, waiting for it; None when there is nothing left to do."""
        with self._changed:
            while True:
                now_s = self._clock.monotonic_s()
                first = self._waiting[0] if self._waiting else None
                if self._stopping and (first is None or first.tries):
                    return None
                if first is not None and first.due_s <= now_s:
                    return heapq.heappop(self._waiting)
                self._changed.wait(None if first is None else first.due_s - now_s)

    def _try(self, waiting: _Waiting) -> bool:
        """Try a letter once; return whether it is to be tried again."""
        waiting.tries += 1
        letter, by, tries = waiting.letter, waiting.by, waiting.tries
        try:
            hand_over(self.mail, waiting.message)
        except MailFailed as failed:
            why = letter.without_link(failed.message)
            if failed.again and tries < self.mail.attempts_max:
                pause_s = min(self.mail.retry_s * 2 ** (tries - 1), PAUSE_S_MAX)
                waiting.due_s = self._clock.monotonic_s() + pause_s
                log.warning("mail: %s; trying again in %g s", why, pause_s)
                self._write(Event.MAIL_RETRIED, letter, by, tries=tries, why=why)
                return True
            self.lost(letter, by, tries, why)
        except Exception as error:  # a doorway: no fault of one letter stops the others
            self.lost(letter, by, tries, type(error).__name__)
        else:
            self._write(Event.MAIL_SENT, letter, by, tries=tries)
        return False

    def lost(self, letter: Letter, by: Caller, tries: int, why: str) -> None:
        """Write down that a letter will not arrive, and how else somebody comes by a link."""
        log.warning("mail: nothing was sent: %s; next: %s", why, letter.following)
        self._write(Event.MAIL_FAILED, letter, by, tries=tries, why=why)

    def _write(self, event: Event, letter: Letter, by: Caller, **detail: object) -> None:
        info = letter.link.info
        about = {"link": info.id, "purpose": str(info.purpose), "email": letter.email, **detail}
        try:
            self._audit.write(event, by, target=info.sub or "", user=letter.user, detail=about)
        except MergepointError as error:
            log.warning("mail: %s %s not written to the audit log: %s", event, about, error.message)
