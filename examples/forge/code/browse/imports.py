"""The pages of imports: ask for one, watch it, cancel it.

Place:  app -> [imports] -> sources, jobs
Rule:   only for who may import; that a form comes from this site's own pages is the edge's to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from bottle import Bottle, HTTPError, redirect, request, response

from browse.jobs import import_repository, site
from browse.people import IMPORT
from browse.rendering import Rendering, addresses, here
from browse.repositories import listed
from browse.settings import Settings
from browse.sources import SOURCE_CHARS_MAX, Refused, Source, read
from mergepoint.identity import of
from mergepoint.tasks.contract import TaskRecord
from mergepoint.tasks.errors import NoSuchTask
from mergepoint.tasks.states import FINAL, TaskState

LISTED_MAX = 100
WAITING = "Waits for its turn"
WORDS = {
    TaskState.RUNNING: "Working",
    TaskState.RETRYABLE: "Did not work; is tried again soon",
    TaskState.COMPLETED: "Done",
    TaskState.DEAD: "Not imported",
    TaskState.CANCELLED: "Cancelled",
}


@dataclass(frozen=True, slots=True)
class Import:
    """An import as people and their browsers are told of it."""

    id: str
    name: str
    url: str
    by: str
    state: str
    words: str
    ended: bool
    done: float
    total: float
    error: str
    result: dict[str, Any] | None


def add_to(app: Bottle, render: Rendering, settings: Settings) -> None:
    """Give the app its addresses below `/import`."""

    @app.get("/import")
    def form() -> str:
        _guard()
        return page(request.query.getunicode("source", ""), "")

    @app.post("/import")
    def ask() -> str:
        _guard()
        typed, name = request.forms.getunicode("source", ""), request.forms.getunicode("name", "")
        known = {entry.name for entry in listed(settings.repositories)}
        try:
            source: Source = read(typed, name, settings.import_from, known)
        except Refused as error:
            response.status = 422
            return page(typed, name, str(error))
        # Asked for twice, it is the same import: the second click leads to the first one's page.
        task = import_repository.enqueue(source.url, source.name, of(request).user)
        redirect(_address(task.id), 303)
        return ""

    @app.get("/import/<task>")
    def show(task: str) -> str:
        _guard()
        return render.page("import.html", shown=_told(_record(task)), state=_address(task, "state"))

    @app.get("/import/<task>/state")
    def state(task: str) -> dict[str, object]:
        _guard()
        response.set_header("Cache-Control", "no-store")
        told = _told(_record(task))
        return {"words": told.words, "done": told.done, "total": told.total, "ended": told.ended}

    @app.post("/import/<task>/cancel")
    def cancel(task: str) -> None:
        _guard()
        if _record(task).state not in FINAL:
            site.tasks.handle(task).cancel(f"{of(request).user} cancelled it")
        redirect(_address(task), 303)

    def page(typed: str, name: str, error: str = "") -> str:
        records = site.tasks.records(name=import_repository.name, limit=LISTED_MAX)
        return render.page(
            "imports.html",
            typed=typed,
            name=name,
            error=error,
            imports=[_told(record) for record in reversed(records)],
            allowed=settings.import_from,
            source_chars_max=SOURCE_CHARS_MAX,
        )


def _guard() -> None:
    """Raise the answer for whoever may not import: a way to log in, or why not."""
    who = of(request)
    if who.anonymous and request.method == "GET":
        redirect(f"/-/accounts/login?next={quote(here(), safe='')}", 303)
    if not who.may(IMPORT):
        raise HTTPError(403, f"Importing needs the permission {IMPORT}.")


def _record(task: str) -> TaskRecord:
    try:
        record = site.tasks.handle(task).record()
    except NoSuchTask:
        raise HTTPError(404, "There is no such import, or it was long ago.") from None
    if record.spec.name != import_repository.name:
        raise HTTPError(404, "There is no such import.")
    return record


def _told(record: TaskRecord) -> Import:
    (url, name, by), _ = site.tasks.arguments(record)
    words = WORDS.get(record.state, WAITING)
    if record.state is TaskState.RUNNING and record.cancelling:
        words = "Is being cancelled"
    elif record.state is TaskState.RUNNING and record.progress.note:
        words = f"{record.progress.note}: {_count(record)}"
    done = record.state is TaskState.COMPLETED
    return Import(
        id=record.id,
        name=name,
        url=unquote(url).removeprefix("file://"),
        by=by,
        state=str(record.state),
        words=words,
        ended=record.state in FINAL,
        done=record.progress.done,
        total=record.progress.total,
        error=_reason(record),
        result=site.codec.decode(record.result, record.result_type) if done else None,
    )


def _reason(record: TaskRecord) -> str:
    """Return why it failed. One to be tried again tells a traceback, which ends with the reason."""
    failed = record.state in {TaskState.RETRYABLE, TaskState.DEAD}
    return record.error.strip().rpartition("\n")[2] if failed else ""


def _count(record: TaskRecord) -> str:
    done, total = record.progress.done, record.progress.total
    return f"{done:.0f} %" if total == 100 else f"{done:,.0f} of {total:,.0f}"


def _address(task: str, part: str = "") -> str:
    return f"{addresses().home()}import/{quote(task, safe='')}" + (f"/{part}" if part else "")
