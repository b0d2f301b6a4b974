"""Tickets and wiki hear of each other: one by a named subscription, the other by a plain POST."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

from mergepoint_testkit.sites import RunningSite

Until = Callable[..., Any]


def test_a_page_that_names_a_ticket_stands_on_the_ticket(browse: Any, until: Until) -> None:
    writer = browse("developer")
    number = writer.new_ticket("Hedges are too high")
    address = writer.write_page("Hedges", f"Cut in June, see #{number}. Not `#1`.\n")

    until(lambda: "Mentioned in Hedges" in writer.words(f"/tickets/{number}"), "mentioned")
    assert f'href="{address}"' in writer.get(f"/tickets/{number}").text
    assert f'href="/tickets/{number}"' in writer.get(address).text
    assert "Mentioned in" not in writer.words("/tickets/1")

    form = writer.get(f"{address}/edit")
    writer.submit(form, "body", body="Cut in June.\n", save="")
    until(lambda: "Mentioned" not in writer.words(f"/tickets/{number}"), "no longer mentioned")


def test_a_ticket_that_names_a_page_stands_on_the_page(browse: Any, until: Until) -> None:
    writer = browse("developer")
    address = writer.write_page("Water barrels", "Four of them.\n")
    number = writer.new_ticket("A barrel leaks", "See [[Water barrels]] for where it is.")

    shown = f"#{number} A barrel leaks"
    until(lambda: shown in writer.words(address), "the page shows the ticket")
    assert 'href="/wiki/named?title=Water%20barrels"' in writer.get(f"/tickets/{number}").text
    assert writer.get("/wiki/named?title=Water%20barrels").location == address
    writer.say(number, "Mended.", then="close")
    until(lambda: "#done" in writer.get(address).text, "the page shows that it is closed")


def test_a_page_that_was_not_saved_tells_nobody(browse: Any, until: Until) -> None:
    writer = browse("developer")
    number = writer.new_ticket("Moles")
    address = writer.write_page("Lawn", "Grass.\n")
    old = writer.get(f"{address}/edit")
    writer.submit(writer.get(f"{address}/edit"), "body", body="Green grass.\n", save="")

    late = writer.submit(old, "body", body=f"Moles, see #{number}.\n", save="")
    assert late.status == 409
    # When a later one has come, one that was published before it has come, too.
    after = writer.new_ticket("After")
    writer.write_page("Later", f"#{after}\n")
    until(lambda: "Mentioned in Later" in writer.words(f"/tickets/{after}"), "mentioned")
    assert "Mentioned in" not in writer.words(f"/tickets/{number}")


def test_a_client_cannot_tell_the_wiki_what_only_the_site_may(
    browse: Any, forge: RunningSite
) -> None:
    writer = browse("developer")
    forged = [
        "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Mergepoint-Delivery: x",
        "-H", f"Origin: http://127.0.0.1:{forge.port}",
        "-H", "Cookie: " + "; ".join(f"{k}={v}" for k, v in writer.cookies.items()),
        "--json", '{"number": 1, "revision": 9999, "title": "x", "state": "open", "names": []}',
        f"http://127.0.0.1:{forge.port}/wiki/hooks/ticket",
    ]  # fmt: skip
    assert subprocess.run(forged, capture_output=True, check=True).stdout == b"403"


def test_what_happened_while_a_listener_was_dead_is_heard_when_it_is_back(
    browse: Any, until: Until, forge: RunningSite
) -> None:
    writer = browse("developer")
    number = writer.new_ticket("Frost")
    (slot,) = forge.status()["services"]["tickets.tasks"]["slots"]
    os.kill(slot["pid"], signal.SIGKILL)
    writer.write_page("Winter", f"See #{number}.\n")

    until(lambda: "Mentioned in Winter" in writer.words(f"/tickets/{number}"), "mentioned")
