"""The answer of `status` for people: the site, its apps, its processes.

Place:  cli.commands.status -> [cli.status_view] -> stdout
Rule:   shows what the supervisor said; decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mergepoint.cli.output import data, paint, seconds, show_table, size, state
from mergepoint.cli.site import mounts_text

if TYPE_CHECKING:
    from mergepoint.manifest.site import Site

Json = Mapping[str, Any]


def show_status(answer: Json, site: Site | None, *, verbose: bool) -> None:
    """Print the whole answer; `verbose` adds one row per process."""
    data(headline(answer))
    apps: Mapping[str, Json] = answer.get("apps", {})
    everything = {**apps, **answer.get("services", {})}
    show_table(
        ("APP", "MOUNT", "STATE", "PROCESSES", "MEMORY", "CPU", "RESTARTS", "UP"),
        (
            app_row(name, app, mounts_text(site, name) if site and name in apps else "-")
            for name, app in everything.items()
        ),
    )
    if verbose:
        data("")
        show_table(
            ("PROCESS", "PID", "STATE", "AGE", "MEMORY", "CPU", "RESTARTS", "ADDRESS"),
            (row for name, app in everything.items() for row in slot_rows(name, app)),
        )
    for name, app in everything.items():
        for line in failure_lines(name, app.get("failure")):
            data(line)


def with_external(answer: dict[str, Any], site: Site | None) -> dict[str, Any]:
    """Return the answer and the manifest's apps without processes, which no supervisor knows."""
    apps: dict[str, Any] = dict(answer.get("apps", {}))
    for name, app in (site.apps if site else {}).items():
        if not app.kind.has_processes and name not in apps:
            apps[name] = {"state": "external", "wanted": 0, "slots": [], "failure": None}
    return {**answer, "apps": apps}


def headline(answer: Json) -> str:
    """Return the first line: name, pid, up time, addresses."""
    where = " ".join(str(entry) for entry in _addresses(answer.get("listeners")))
    parts = [
        paint(str(answer.get("site", "")), "bold"),
        f"pid {answer.get('pid')}",
        f"up {seconds(float(answer.get('uptime_s', 0)))}",
        f"generation {answer.get('generation')}",
        where,
    ]
    return "   ".join(part for part in parts if part)


def _addresses(listeners: Any) -> Iterator[str]:
    if isinstance(listeners, Mapping):
        listeners = list(listeners.values())
    for entry in listeners or ():
        yield str(entry.get("address", "")) if isinstance(entry, Mapping) else str(entry)


def app_row(name: str, app: Json, at: str) -> tuple[str, ...]:
    """Return the cells of one app."""
    slots = app.get("slots") or []
    ready = sum(slot.get("state") == "ready" for slot in slots)
    wanted = int(app.get("wanted") or 0)
    return (
        name,
        at,
        state(str(app.get("state", ""))),
        f"{ready}/{wanted}" if wanted else "-",
        size(sum(float(s.get("rss_bytes") or 0) for s in slots)) if slots else "-",
        seconds(sum(float(s.get("cpu_s") or 0) for s in slots)) if slots else "-",
        str(sum(int(s.get("restarts") or 0) for s in slots)) if slots else "-",
        seconds(max(float(s.get("age_s") or 0) for s in slots)) if ready else "-",
    )


def slot_rows(name: str, app: Json) -> Iterator[tuple[str, ...]]:
    """Yield the cells of every process of one app."""
    for slot in app.get("slots") or ():
        yield (
            f"{name}.{slot.get('slot')}",
            str(slot.get("pid") or "-"),
            state(str(slot.get("state", ""))),
            seconds(float(slot.get("age_s") or 0)),
            size(float(slot.get("rss_bytes") or 0)),
            seconds(float(slot.get("cpu_s") or 0)),
            str(slot.get("restarts", 0)),
            short_address(str(slot.get("address") or "-")),
        )


def short_address(address: str) -> str:
    """Return an address without the run directory, which is the same for all."""
    return address.rpartition("/")[2] if address.startswith("unix:") else address


def failure_lines(name: str, failure: Any) -> Iterator[str]:
    """Yield why an app does not serve and what to type next."""
    if not isinstance(failure, Mapping) or not failure.get("reason"):
        return
    where = f"{failure['where']}  " if failure.get("where") else ""
    yield f"{paint(name, 'bad')}: {where}{failure['reason']}"
    if failure.get("next"):
        yield f"  next: {failure['next']}"
