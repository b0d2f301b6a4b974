"""The small tables of an app: processes, limits, timeouts, queue, restart, members.

Place:  manifest.validate -> [manifest.tables.parts] -> manifest.tables.app
Rule:   every short form is brought to its table here, so that later code sees one form.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from mergepoint.manifest.tables.amounts import (
    Count,
    CountOrNone,
    Duration,
    DurationOrNever,
    Size,
    refused,
)
from mergepoint.manifest.tables.forms import parse_redirect, python_target
from mergepoint.manifest.tables.table import Table, key

PROCESSES_MAX = 512

Slots = Annotated[int, Field(ge=1, le=PROCESSES_MAX)]


class ProcessesTable(Table):
    """How many processes serve the app."""

    min: Slots | None = key("Fewest processes.", stands_for="start, or 1")
    max: Slots | None = key(
        "Most processes; reached when requests wait.", stands_for="start, or min"
    )
    start: Slots | None = key("Processes at the start.", stands_for="min")
    auto: bool = key('Choose by the machine; what processes = "auto" means.', False)


def _processes(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str | dict):
        raise refused("is not a process count", 'write 2, "auto" or { min = 1, max = 4 }')
    if isinstance(value, str):
        if value != "auto":
            raise refused("is not a process count", 'write 2, "auto" or { min = 1, max = 4 }')
        return {"auto": True}
    if isinstance(value, int):
        if not 1 <= value <= PROCESSES_MAX:
            raise refused(f"must be 1 to {PROCESSES_MAX}", "write 2, or leave it out")
        return {"min": value, "max": value, "start": value}
    return value


ProcessesKey = Annotated[
    ProcessesTable,
    BeforeValidator(_processes, json_schema_input_type=int | Literal["auto"] | ProcessesTable),
]


class LimitsTable(Table):
    """Limits of each process of the app."""

    memory: Size | None = key('Memory, such as "512MiB".', stands_for="the system's own")
    cpu: Annotated[float, Field(gt=0, le=1024)] | None = key(
        "CPUs; 0.5 is half of one.", stands_for="no limit"
    )
    files: Count | None = key("Open files and sockets.", stands_for="the system's own")
    processes: Count | None = key("Child processes and threads.", stands_for="the system's own")


class TimeoutsTable(Table):
    """How long things may take, in seconds or as a text such as "30s"."""

    connect_s: Duration = key("Seconds to connect to a worker.", 1.0)
    request_s: Duration = key(
        "Seconds a worker gets to its response head, counted from the last progress of the upload; "
        "then 504.",
        30.0,
    )
    body_idle_s: Duration = key("Seconds a worker may pause within a body.", 30.0)
    tunnel_idle_s: Duration = key("Seconds a WebSocket may stay silent.", 3600.0)
    ready_s: Duration = key("Seconds a new process gets to become ready.", 60.0)
    drain_s: Duration = key("Seconds an old process gets to finish what it holds.", 30.0)
    kill_s: Duration = key("Seconds between TERM and KILL after that.", 5.0)


class QueueTable(Table):
    """Requests that wait at the edge for a free slot."""

    length_max: CountOrNone = key("Requests that may wait; more are answered 503.", 256)
    wait_s: Duration = key("Seconds a request may wait; then 503.", 10.0)


class RestartTable(Table):
    """When processes are replaced, and how crashes are answered."""

    backoff_s: Duration = key("Seconds before the first restart after a crash; doubles.", 0.5)
    backoff_s_max: Duration = key("Longest pause between restarts, in seconds.", 30.0)
    requests_max: CountOrNone = key("Replace a process after so many requests; 0 is never.", 0)
    requests_jitter: CountOrNone | None = key(
        "Spread of requests_max, so that slots do not restart together.",
        stands_for="a tenth of requests_max",
    )
    lifetime_s: DurationOrNever = key("Replace a process after so many seconds; 0 is never.", 0.0)
    chained: bool = key(
        "Stop the old process before the new one starts: for machines short of memory.", False
    )


class RedirectTable(Table):
    """Send the client elsewhere."""

    to: Annotated[str, AfterValidator(parse_redirect)] = key(
        "Absolute URL, or a path of this site.", ...
    )
    status: Literal[301, 302, 303, 307, 308] = key("HTTP status of the answer.", 308)
    keep_path: bool = key("Append the rest of the path and the query.", True)


def _redirect(value: Any) -> Any:
    return {"to": value} if isinstance(value, str) else value


RedirectKey = Annotated[
    RedirectTable, BeforeValidator(_redirect, json_schema_input_type=str | RedirectTable)
]

Target = Annotated[str, AfterValidator(python_target)]


class MemberTable(Table):
    """One of several small apps that share a worker."""

    path: str = key("Path below the mount; / takes what no other member takes.", ...)
    wsgi: Target | None = key('WSGI application, "module:attribute".')
    asgi: Target | None = key('ASGI application, "module:attribute".')
