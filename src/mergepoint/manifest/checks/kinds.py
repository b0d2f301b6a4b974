"""Each app has one kind, and only keys that mean something for it.

Place:  manifest.load -> [manifest.checks.kinds]
Rule:   pure; one table says which key belongs to which kind.
"""

from __future__ import annotations

from pydantic_core import PydanticCustomError

from mergepoint.manifest.layers import From
from mergepoint.manifest.site import Kind
from mergepoint.manifest.tables.app import KINDS, AppTable
from mergepoint.manifest.tables.forms import parse_path
from mergepoint.manifest.tables.parts import MemberTable
from mergepoint.manifest.validate import AppDraft, Draft, Report
from mergepoint.manifest.words import nearest

ACCESS_KEYS = frozenset(
    {"authorization", "cookies", "csrf_exempt", "guards", "identity_headers", "require"}
)
"""What means nothing without [identity]."""
EVERY = frozenset({"at", "guards", "host", "require"})
PASSED_ON = EVERY | {
    "affinity",
    "authorization",
    "body",
    "cache",
    "compress",
    "concurrency",
    "cookies",
    "csrf_exempt",
    "health_interval_s",
    "identity_headers",
    "prefix",
    "queue",
    "ready",
    "timeout_s",
    "timeouts",
}
RUN = PASSED_ON | {
    "directory",
    "env",
    "env_file",
    "group",
    "limits",
    "max_requests",
    "processes",
    "restart",
    "smoke",
    "user",
    "venv",
    "watch",
}
TASKS = frozenset(
    {
        "celery", "celery_concurrency", "celery_processes",
        "task_processes", "task_queues", "task_threads", "tasks",
    }
)  # fmt: skip
"""What concerns the processes that run an app's tasks."""
PYTHON = RUN | TASKS | {"python", "server"}
KEYS: dict[Kind, frozenset[str]] = {
    Kind.WSGI: PYTHON | {"threads"},
    Kind.ASGI: PYTHON,
    Kind.TOGETHER: PYTHON | {"threads"},
    Kind.COMMAND: RUN,
    Kind.STATIC: EVERY | {"cache_control", "compress", "directory", "fallback", "index"},
    Kind.REDIRECT: EVERY,
    Kind.HTTP: PASSED_ON,
}
WHY = {
    Kind.WSGI: "a WSGI app",
    Kind.ASGI: "an ASGI app",
    Kind.TOGETHER: "apps that run together",
    Kind.COMMAND: "a command",
    Kind.STATIC: "static files",
    Kind.REDIRECT: "a redirect",
    Kind.HTTP: "a service that runs elsewhere",
}
SERVERS = {
    Kind.WSGI: {"granian", "gunicorn", "hypercorn", "uwsgi"},
    Kind.ASGI: {"granian", "gunicorn", "hypercorn", "uvicorn"},
}
EXCLUSIVE = (
    ("venv", "python", "a virtual environment brings its own interpreter"),
    ("max_requests", "restart.requests_max", "the one is short for the other"),
    ("timeout_s", "timeouts.request_s", "the one is short for the other"),
)


def check_kinds(draft: Draft, report: Report) -> None:
    """Report apps of no kind or several, and keys that do not belong to the kind."""
    for app in draft.apps.values():
        written = [kind for kind in KINDS if kind in app.written]
        if not written and app.broken != frozenset(AppTable.model_fields):
            fix = _which_app(app, draft, report) or (
                f'add one of {", ".join(KINDS)}, such as wsgi = "{app.name}:app"'
            )
            report.add(("apps", app.name), "does not say what it is", fix=fix)
        elif len(written) > 1:
            said = " and ".join(written)
            fix = "keep one; an app of two kinds is two apps"
            report.add(("apps", app.name, written[1]), f"is of several kinds: {said}", fix=fix)
        elif written:
            _one_kind(app, Kind(written[0]), report)


def _which_app(app: AppDraft, draft: Draft, report: Report) -> str:
    """Return the app that a profile or a variable probably meant."""
    source = report.layers.source(("apps", app.name))
    if source is None or source.layer is From.FILE:
        return ""
    return nearest(app.name, [name for name in draft.apps if name != app.name])


def _one_kind(app: AppDraft, kind: Kind, report: Report) -> None:
    for key in sorted(app.written & frozenset(AppTable.model_fields) - KEYS[kind] - set(KINDS)):
        fix = f"remove it; for {WHY[kind]} there are {', '.join(sorted(KEYS[kind]))}"
        report.add(("apps", app.name, key), f"means nothing for {WHY[kind]}", fix=fix)
    table = app.table
    if table.prefix == "host" and not kind.is_python and app.sound("prefix"):
        fix = 'write "strip" or "keep"'
        message = 'needs a Python worker, which "host" relies on'
        report.add(("apps", app.name, "prefix"), message, fix=fix, value=table.prefix)
    if kind in SERVERS and table.server not in SERVERS[kind]:
        fix = f"use one of {', '.join(sorted(SERVERS[kind]))}"
        message = f"does not serve {kind.value.upper()}"
        report.add(("apps", app.name, "server"), message, fix=fix, value=table.server)
    for first, second, why in EXCLUSIVE:
        if _has(table, first) and _has(table, second):
            path = ("apps", app.name, *second.split("."))
            report.add(path, f"cannot stand beside {first}", fix=f"remove one: {why}")
    if kind is Kind.TOGETHER and app.sound("together"):
        _members(app, table.together or [], report)


def _has(table: AppTable, key: str) -> bool:
    outer, _, inner = key.partition(".")
    if not inner:
        return outer in table.model_fields_set
    return inner in getattr(table, outer).model_fields_set


def _members(app: AppDraft, members: list[MemberTable], report: Report) -> None:
    seen: dict[str, int] = {}
    for position, member in enumerate(members):
        at = ("apps", app.name, "together", position)
        if (member.wsgi is None) == (member.asgi is None):
            found = "neither" if member.wsgi is None else "both"
            report.add(
                at, f"needs one of wsgi and asgi, has {found}", fix='write wsgi = "module:app"'
            )
        try:
            path = parse_path(member.path)
        except PydanticCustomError as error:
            fix = str((error.context or {}).get("fix", ""))
            report.add((*at, "path"), error.message(), fix=fix, value=member.path)
            continue
        if path in seen:
            message = f"is taken by member {seen[path] + 1} already"
            report.add((*at, "path"), message, fix="give each member a path", value=member.path)
        seen.setdefault(path, position)
