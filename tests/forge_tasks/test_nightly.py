"""The count of the tickets: by the clock of the manifest, shown on the front page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from mergepoint_testkit.sites import RunningSite

Until = Callable[..., Any]


def shown(visitor: Any) -> dict[str, int]:
    counted = visitor.get("/tickets/api/recent").json["counted"]
    return {name: counted[name] for name in ("open", "opened", "closed", "said")}


def count_now(forge: RunningSite) -> None:
    told = ("tasks", "run", "tracker.jobs.count", "--queue", "tickets", "--wait-s", "60")
    forge.run(*told)


def test_the_count_stands_in_the_schedule_of_the_site(forge: RunningSite) -> None:
    listed = json.loads(forge.run("tasks", "schedule", "--json").stdout)["schedules"]

    (schedule,) = listed
    assert (schedule["task"], schedule["app"]) == ("tracker.jobs.count", "tickets")
    assert (schedule["cron"], schedule["timezone"]) == ("15 3 * * *", "Europe/Berlin")
    assert schedule["next_at"] > 0


def test_the_front_page_shows_what_the_night_counted(
    browse: Any, until: Until, forge: RunningSite
) -> None:
    writer = browse("developer")
    count_now(forge)
    before = shown(writer)
    number = writer.new_ticket("Counted")
    writer.say(number, "Words.", then="close")
    writer.new_ticket("Counted, too")
    assert shown(writer) == before  # nobody counts by day
    count_now(forge)

    wanted = {
        "open": before["open"] + 1,
        "opened": before["opened"] + 2,
        "closed": before["closed"] + 1,
        "said": before["said"] + 1,
    }
    assert shown(writer) == wanted
    told = f"opened {wanted['opened']} closed {wanted['closed']} comment"
    until(lambda: told in writer.words("/"), "on the front page")
