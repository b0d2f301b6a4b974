"""The first screen of `mergepoint run`: what serves where, what does not and why.

Place:  cli.run_reporter -> [cli.first_screen]
Rule:   pure: from a board to lines; every line can be copied, none is decoration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mergepoint import __version__
from mergepoint.cli.board import Board, Entry
from mergepoint.cli.output import count, paint, seconds
from mergepoint.cli.remedy import remedy
from mergepoint.cli.site import mounts_text
from mergepoint.manifest.site import App, Kind, Listener, Mode, Site

NAME_COLUMNS = 10


def first_screen(
    board: Board, frameworks: Mapping[str, str], ready_s: float, *, keys: bool
) -> list[str]:
    """Return the lines to print once every app is ready or has failed."""
    site = board.site
    lines = ["", _title(site, ready_s), *_addresses(site), ""]
    lines += _apps(board, frameworks)
    hint = _hint(board)
    lines += ["", hint] if hint else []
    if keys:
        lines += ["", paint("  r restart   l logs on/off   q quit", "dim")]
    return [*lines, ""]


def _title(site: Site, ready_s: float) -> str:
    mode = (
        "development: a changed app restarts alone"
        if site.mode is Mode.DEVELOPMENT
        else "production"
    )
    name = paint(site.name, "bold")
    return (
        f"  mergepoint {__version__}   {name}   ready in {seconds(ready_s)}   {paint(mode, 'dim')}"
    )


def _addresses(site: Site) -> Iterator[str]:
    for listener in site.listeners:
        label = "Admin" if listener.admin else "Site"
        yield f"  {label:<{NAME_COLUMNS}}{paint(_people_url(site, listener), 'link')}"


def _people_url(site: Site, listener: Listener) -> str:
    """Return the address to open: where people log in, since a session belongs to one name."""
    own = url_of(listener)
    identity = site.identity
    if identity is None or listener.admin or site.mode is not Mode.DEVELOPMENT:
        return own
    named = own.replace("://127.0.0.1", "://localhost")
    return named if named == f"{identity.public_url}/" else own


def url_of(listener: Listener) -> str:
    """Return the address as a browser takes it; a socket path stays as it is."""
    if listener.address.startswith("unix:"):
        return listener.address
    host, _, port = listener.address.rpartition(":")
    host = {"": "localhost", "0.0.0.0": "localhost", "[::]": "localhost"}.get(host, host)  # noqa: S104
    scheme, usual = ("https", "443") if listener.tls else ("http", "80")
    return f"{scheme}://{host}/" if port == usual else f"{scheme}://{host}:{port}/"


def _apps(board: Board, frameworks: Mapping[str, str]) -> Iterator[str]:
    rows = [
        (entry, _cells(board.site, entry, frameworks.get(name, "")))
        for name, entry in board.entries.items()
    ]
    widths = [max((len(cells[i]) for _, cells in rows), default=0) for i in range(4)]
    widths[0] = max(widths[0], NAME_COLUMNS - 2)
    for entry, cells in rows:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        yield f"  {'  '.join(padded)}  {_state(entry)}".rstrip()
        yield from _why(entry, board.site.apps[entry.name])


def _cells(site: Site, entry: Entry, framework: str) -> tuple[str, str, str, str]:
    app = site.apps[entry.name]
    if not app.kind.has_processes:
        processes = "no process"
    else:
        noun = ("process", "processes") if app.kind is Kind.COMMAND else ("worker", "workers")
        processes = count(len(entry.ready), *noun)
    return entry.name, framework or str(app.kind), mounts_text(site, entry.name), processes


def _state(entry: Entry) -> str:
    if entry.state == "failed":
        return paint("FAILED", "bad")
    if entry.state == "external":
        return paint("ready", "ok")
    after = f"  {seconds(entry.after_s)}" if entry.after_s is not None else ""
    return paint(entry.state, "ok" if entry.state == "ready" else "warn") + after


def _why(entry: Entry, app: App) -> Iterator[str]:
    if entry.failure is None or entry.state != "failed":
        return
    where = f"{entry.failure.where}  " if entry.failure.where else ""
    yield f"    {where}{paint(entry.failure.reason, 'bad')}"
    fix = remedy(entry.failure.reason, app)
    if fix:
        yield f"    fix:  {fix}"
    if entry.failure.next:
        yield f"    more: {entry.failure.next}"


def _hint(board: Board) -> str:
    warnings = len(board.site.problems)
    if not board.site.apps:
        return "  No apps yet. Next: mergepoint add PATH --at /path"
    if list(board.failed()):
        return "  The rest of the site serves. Mend the app and save: it starts by itself."
    if warnings:
        return f"  {count(warnings, 'warning')}: mergepoint check"
    return ""
