"""A change to a ticket tells the people it concerns, if and only if it was committed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

from mergepoint_testkit.sites import RunningSite

from .mail_server import AGAIN, NEVER, MailServer

Until = Callable[..., Any]


def database(forge: RunningSite) -> sqlite3.Connection:
    file = forge.directory / ".mergepoint" / "forge" / "tickets" / "tickets.db"
    return sqlite3.connect(f"file:{file}?mode=rw", uri=True, isolation_level=None, timeout=10)


def told_of(forge: RunningSite, number: int) -> int:
    with closing(database(forge)) as db:
        found = db.execute("SELECT count(*) FROM notifications WHERE ticket_id = ?", (number,))
        return int(found.fetchone()[0])


def test_who_has_a_ticket_is_told_of_it_and_nobody_of_what_they_did_themselves(
    browse: Any, until: Until
) -> None:
    writer, keeper = browse("developer"), browse("developer")
    number = writer.new_ticket("A gate is open", assignee=keeper.user)

    until(lambda: keeper.unread == 1, "the keeper is told")
    assert f"#{number} A gate is open" in keeper.words("/tickets/notifications")
    assert f"{writer.user} opened this" in keeper.words("/tickets/notifications")
    keeper.say(number, f"It is shut now, @{writer.user}.", then="close")
    until(lambda: writer.unread == 1, "the writer is told")
    assert "It is shut now" in writer.words("/tickets/notifications")


def test_reading_a_ticket_reads_what_one_was_told_of_it(browse: Any, until: Until) -> None:
    writer, keeper = browse("developer"), browse("developer")
    first = writer.new_ticket("First", assignee=keeper.user)
    writer.new_ticket("Second", assignee=keeper.user)
    until(lambda: keeper.unread == 2, "told of both")

    keeper.get(f"/tickets/{first}")
    assert keeper.unread == 1
    keeper.submit(keeper.get("/tickets/notifications"), "csrf", then="read")
    assert keeper.unread == 0


def test_a_ticket_that_was_rolled_back_tells_nobody(
    browse: Any, until: Until, forge: RunningSite
) -> None:
    writer, keeper = browse("developer"), browse("developer")
    with closing(database(forge)) as db:
        # The last step of every change: after its events and tasks were asked for.
        db.execute(
            "CREATE TRIGGER refuse AFTER INSERT ON mergepoint_outbox"
            " WHEN (SELECT max(title = 'Doomed') FROM tickets)"
            " BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        try:
            form = writer.get("/tickets/new")
            sent = writer.submit(form, "title", title="Doomed", assignee=keeper.user)
            assert sent.status == 500
        finally:
            db.execute("DROP TRIGGER refuse")
        assert db.execute("SELECT count(*) FROM tickets WHERE title = 'Doomed'").fetchone() == (0,)
    # What is asked for later comes later: when this one has arrived, the other one never will.
    after = writer.new_ticket("Saved", assignee=keeper.user)
    until(lambda: told_of(forge, after) == 1, "told of the one that was saved")
    assert keeper.unread == 1
    assert "Doomed" not in keeper.words("/tickets/notifications")


def test_a_mail_is_sent_again_until_the_server_takes_it(
    browse: Any, until: Until, mail_server: MailServer
) -> None:
    writer, keeper = browse("developer"), browse("developer")
    keeper.submit(keeper.get("/tickets/notifications"), "csrf", then="mail")
    mail_server.refused.clear()
    mail_server.answers[:] = [AGAIN, AGAIN]
    number = writer.new_ticket("Bees in the shed", "All of them.", assignee=keeper.user)

    (letter,) = until(lambda: mail_server.taken_by(keeper.user), "the mail was taken")
    assert [str(one["Message-ID"]) for one in mail_server.refused] == [letter["Message-ID"]] * 2
    assert letter["Subject"] == f"[#{number}] Bees in the shed"
    assert f"/tickets/{number}" in letter.get_content()
    assert "All of them." in letter.get_content()


def test_a_mail_that_can_never_be_sent_is_dead_and_says_why(
    browse: Any, until: Until, mail_server: MailServer, forge: RunningSite
) -> None:
    writer, keeper = browse("developer"), browse("developer")
    keeper.submit(keeper.get("/tickets/notifications"), "csrf", then="mail")
    mail_server.answers[:] = [NEVER]
    writer.new_ticket("Nobody reads this", assignee=keeper.user)

    dead = until(lambda: forge.run("tasks", "list", "--state", "dead").stdout, "a dead task")
    assert "tracker.jobs.mail" in dead
    assert "550" in dead
    assert mail_server.taken_by(keeper.user) == []


def test_every_ticket_tells_once_however_often_the_workers_are_killed(
    browse: Any, until: Until, forge: RunningSite
) -> None:
    writer, keeper = browse("developer"), browse("developer")
    numbers = []
    for number in range(24):
        numbers.append(writer.new_ticket(f"Number {number}", assignee=keeper.user))
        if number % 8 == 5:
            slots = forge.status()["services"]["tickets.tasks"]["slots"]
            for pid in [slot["pid"] for slot in slots if slot["state"] == "ready"]:
                os.kill(pid, signal.SIGKILL)

    until(lambda: keeper.unread == len(numbers), "told of each")
    # All that was asked for has ended by now, so nothing can be told again later.
    until(lambda: not waiting(forge), "nothing waits")
    assert [told_of(forge, number) for number in numbers] == [1] * len(numbers)


def waiting(forge: RunningSite) -> list[Any]:
    states = ("pending", "scheduled", "held", "queued", "running", "retryable")
    asked = [word for state in states for word in ("--state", state)]
    listed = forge.run("tasks", "list", "--name", "tracker.jobs.notify", *asked, "--json").stdout
    found: list[Any] = json.loads(listed)["tasks"]
    return found
