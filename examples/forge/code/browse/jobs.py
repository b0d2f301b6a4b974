"""Importing a repository and its tickets, as a task: it goes on where it was if its process dies.

Place:  imports -> [jobs] -> fetching, ticket_files, the tickets app over the bus
Rule:   every step may happen twice and does no harm by it: a repository is moved to its place
        whole, and the tickets know which of them they have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mergepoint
from browse import fetching, ticket_files, trees
from browse.fetching import Impossible, Progress
from browse.repositories import Missing, default_ref, opened, resolve
from browse.settings import Settings
from browse.sources import Source
from mergepoint.tasks import Context, Dead, Unique

site = mergepoint.connect()
settings = Settings.from_environment()
TICKETS = "tickets.import"
"""The address at which the tickets take over what lies in a repository."""
HAND_OVER_S_MAX = 30.0


@site.tasks.task(
    queue="code.imports",
    retries=5,
    timeout_s=3600,
    unique=Unique(by=("name",)),
    keep_result_s=7 * 86400,
)
def import_repository(url: str, name: str, by: str, ctx: Context) -> dict[str, Any] | Dead:
    """Fetch a repository and hand its tickets over; `by` is the user who asked."""
    place = settings.repositories / f"{name}.git"
    try:
        progress = fetching.progress_of(place) if place.exists() else None
        if progress is None or progress.task != ctx.id:
            fetching.fetch(Source(url, name), place, ctx, settings)
            progress = Progress(ctx.id)
        total = _hand_over(place, name, by, progress, ctx)
    except Impossible as error:
        return Dead(str(error))
    except ticket_files.Unreadable as error:
        return Dead(f"The repository is here, its tickets are not. {error}")
    return {"name": name, "tickets": total, "new": progress.new}


def _hand_over(place: Path, name: str, by: str, progress: Progress, ctx: Context) -> int:
    """Give the tickets what the repository says of them, group by group; return how many."""
    tickets = _tickets(name)
    groups = ticket_files.batches(tickets[progress.handed :])
    for group in groups:
        asked = {"source": name, "batch": ctx.id, "by": by, "tickets": group}
        answer = site.bus.request(TICKETS, asked, timeout_s=HAND_OVER_S_MAX)
        progress.handed += len(group)
        progress.new += answer["new"]
        fetching.keep_progress(place, progress)
        ctx.progress(progress.handed, len(tickets), "Taking over tickets")
    return len(tickets)


def _tickets(name: str) -> list[ticket_files.Ticket]:
    with opened(settings.repositories, name) as repo:
        ref = default_ref(repo)
        for file in ticket_files.FILES if ref else ():
            try:
                _, found = trees.lookup(repo, resolve(repo, (ref or b"") + b"/" + file.encode()))
            except Missing:
                continue
            return ticket_files.read(file, found.as_raw_string())  # type: ignore[union-attr]
    return []
