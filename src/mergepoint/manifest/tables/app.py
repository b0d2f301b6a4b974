"""``[apps.NAME]``: one app, in any of its seven kinds.

Place:  manifest.validate -> [manifest.tables.app]
Rule:   shape and single values only; which keys go together is in manifest.checks.
"""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from mergepoint.manifest.tables.access import (
    GUARDS_MAX,
    GuardPath,
    GuardTable,
    IdentityHeaders,
    Requirements,
)
from mergepoint.manifest.tables.amounts import CountOrNone, Duration, refused, size_bytes
from mergepoint.manifest.tables.bus import Module, QueueName
from mergepoint.manifest.tables.cache import AppCacheKey
from mergepoint.manifest.tables.forms import (
    parse_affinity,
    parse_host,
    parse_mount,
    parse_path,
    parse_service,
)
from mergepoint.manifest.tables.parts import (
    PROCESSES_MAX,
    LimitsTable,
    MemberTable,
    ProcessesKey,
    QueueTable,
    RedirectKey,
    RestartTable,
    Target,
    TimeoutsTable,
)
from mergepoint.manifest.tables.table import Table, key, listed

APP_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")
BODY_UNLIMITED = 0
KINDS = ("wsgi", "asgi", "together", "command", "static", "redirect", "http")

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{1,256}\Z")


def _checked(parse: Any) -> AfterValidator:
    """Return a validator that keeps the written text when `parse` accepts it."""

    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


def _path_query(text: str) -> None:
    parse_path(text.partition("?")[0])
    if not re.fullmatch(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-F]{2})*", text):
        raise refused("is not a path", 'write a path such as "/healthz"')


def _words(value: Any) -> Any:
    """Split a command written as one text as a shell would, without running a shell."""
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        raise refused(f"is not a command: {str(error).lower()}", "close the quotes") from None


def _environment(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not _VARIABLE.match(name):
            raise refused(f'"{name}" is not a variable name', "use letters, digits and underscores")
        if "\0" in text:
            raise refused(f'"{name}" contains a zero byte', "remove it")
    return value


def _plain_numbers(value: Any) -> Any:
    """Accept numbers and booleans as environment values; a variable is text in the end."""
    if not isinstance(value, dict):
        return value
    return {
        name: str(entry).lower()
        if isinstance(entry, bool)
        else str(entry)
        if isinstance(entry, int | float)
        else entry
        for name, entry in value.items()
    }


def _body(value: Any) -> int:
    return BODY_UNLIMITED if value is False else size_bytes(value)


def _cache_control(text: str) -> str:
    if not _HEADER_VALUE.match(text):
        raise refused("is not a header value", 'write something like "public, max-age=60"')
    return text


def _python(value: Any) -> Any:
    if isinstance(value, float) and 3 <= value < 4:
        raise refused("is a number, and 3.10 would become 3.1", f'write it as text: "{value}"')
    return value


TextList = Annotated[list[str], BeforeValidator(listed, json_schema_input_type=str | list[str])]
Command = Annotated[
    list[str],
    BeforeValidator(_words, json_schema_input_type=str | list[str]),
    Field(min_length=1, max_length=1024),
]
Environment = Annotated[
    dict[str, str],
    BeforeValidator(_plain_numbers, json_schema_input_type=dict[str, str | int | float | bool]),
    AfterValidator(_environment),
]
Body = Annotated[int, BeforeValidator(_body, json_schema_input_type=int | str | Literal[False])]
Url = Annotated[str, _checked(_path_query)]


class AppTable(Table):
    """One app; one of wsgi, asgi, together, command, static, redirect and http is its kind."""

    wsgi: Target | None = key('WSGI application: "module:attribute", or "module:factory()".')
    asgi: Target | None = key('ASGI application: "module:attribute", or "module:factory()".')
    together: list[MemberTable] | None = key(
        "Several small WSGI or ASGI apps in one worker, each at a path below the mount.",
        min_length=1,
        max_length=64,
    )
    command: Command | None = key(
        "A program that serves HTTP on {socket} or on PORT; a text is split like in a shell."
    )
    static: str | None = key("Directory whose files the edge serves itself.", min_length=1)
    redirect: RedirectKey | None = key(
        "URL to send the client to, or a table { to, status, keep_path }."
    )
    http: Annotated[str, _checked(parse_service)] | None = key(
        'A service that runs elsewhere: "http://host:port".'
    )

    at: (
        Annotated[
            list[Annotated[str, _checked(parse_mount)]],
            BeforeValidator(listed, json_schema_input_type=str | list[str]),
            Field(min_length=1, max_length=64),
        ]
        | None
    ) = key(
        'Where the app is mounted: "/path", "host/path" or a list of them.',
        stands_for='"/" and the app\'s name',
    )
    host: (
        Annotated[
            list[Annotated[str, _checked(parse_host)]],
            BeforeValidator(listed, json_schema_input_type=str | list[str]),
            Field(min_length=1, max_length=64),
        ]
        | None
    ) = key(
        'Hosts of the mounts that name none themselves; "*.example.org" for all below.',
        stands_for="any host",
    )
    prefix: Literal["host", "strip", "keep"] | None = key(
        "Who removes the mount from the path: the worker (host), the edge (strip), nobody (keep).",
        stands_for="host for Python, keep for redirects, else strip",
    )

    require: Requirements | None = key(
        'Who may use the app, such as "user" or ["role:editor", "group:ops"]; any one is enough.',
        stands_for="identity.require; role:admin for an app named console",
    )
    guards: list[GuardTable] = key(
        "Who may use parts of it; the longest path decides.", [], max_length=GUARDS_MAX
    )
    csrf_exempt: Annotated[
        list[GuardPath],
        BeforeValidator(listed, json_schema_input_type=str | list[str]),
        Field(max_length=GUARDS_MAX),
    ] = key("Paths below the mount whose unsafe requests may come from other sites.", [])
    cookies: Literal["confine", "share"] = key(
        "Whether its cookies are kept to its mount, or shared with the whole host.", "confine"
    )
    identity_headers: IdentityHeaders = key(
        'Headers of your own for who comes: { X-WebAuth-User = "user" }; also name, email, '
        "groups, roles.",
        {},
    )
    authorization: Literal["consume", "pass"] = key(
        "Whether an Authorization that the site itself has proven is removed or passed on.",
        "consume",
    )

    directory: str = key("Working directory and import path of the app.", ".", min_length=1)
    python: Annotated[str, BeforeValidator(_python)] | None = key(
        'Python interpreter: a version such as "3.12" or a path.',
        stands_for="that of venv",
        min_length=1,
    )
    venv: str | None = key(
        "Virtual environment of the app.",
        stands_for=".venv in the app's directory when there is one, else Mergepoint's own",
        min_length=1,
    )
    server: Literal["granian", "uvicorn", "gunicorn", "hypercorn", "uwsgi"] = key(
        "Server inside Python workers; must be installed in the app's environment.", "granian"
    )
    env: Environment = key("Environment variables of the app.", {})
    env_file: TextList = key("Files of NAME=value lines; env wins over them.", [])
    user: str | None = key("User the processes run as; needs root.", stands_for="the same user")
    group: str | None = key("Group the processes run as.", stands_for="the user's own")

    processes: ProcessesKey | None = key(
        'How many processes: 2, "auto" (one per CPU), or { min, max, start }.',
        stands_for="1 in development; in production 2 for Python apps, 1 for commands",
    )
    threads: Annotated[int, Field(ge=1, le=1024)] = key("Threads of a WSGI worker.", 4)
    concurrency: Annotated[int, Field(ge=1, le=65536)] | None = key(
        "Requests one process works on at a time; more wait at the edge.",
        stands_for="threads for WSGI, 256 for ASGI and http, 64 for commands",
    )
    timeout_s: Duration | None = key(
        "Short for timeouts.request_s: seconds to the response head, since the upload progressed.",
        stands_for="30.0",
    )
    timeouts: TimeoutsTable = key("Every time limit.", TimeoutsTable())
    queue: QueueTable = key("Requests that wait for a free process.", QueueTable())
    limits: LimitsTable = key("Limits of each process.", LimitsTable())
    restart: RestartTable = key("Crash back-off and recycling.", RestartTable())
    max_requests: CountOrNone | None = key(
        "Short for restart.requests_max: replace a process after so many requests.",
        stands_for="0, never",
    )
    body: Body = key('Largest request body, such as "100MiB"; false for no limit.', 1 << 30)
    affinity: Annotated[str, _checked(parse_affinity)] = key(
        "Which requests stay together: path, path:2, header:X, cookie:X, sticky; least for none.",
        "least",
    )
    ready: Url | None = key(
        "Path below the mount that must answer 2xx or 3xx before a process takes traffic.",
        stands_for="the host shim answers for Python; any answer will do for others",
    )
    smoke: list[Url] = key(
        "Paths below the mount that a new release must answer below 400.", [], max_length=64
    )
    health_interval_s: Duration = key("Seconds between health checks of a process.", 2.0)
    watch: list[str] | None = key(
        "Files and directories of the program: development watches, `reload` compares them.",
        stands_for="the app's directory",
    )

    tasks: Module | None = key(
        "Module whose import declares tasks; processes of their own run them.",
        stands_for="no task workers",
    )
    task_processes: Annotated[int, Field(ge=1, le=PROCESSES_MAX)] = key(
        "Processes that run tasks.", 1
    )
    task_threads: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = key(
        'Tasks one of these processes runs at a time; "auto": 1 to 64, by what they compute.', 4
    )
    task_queues: Annotated[
        list[QueueName],
        BeforeValidator(listed, json_schema_input_type=str | list[str]),
        Field(max_length=64),
    ] = key("Queues they work on; [] is every queue the declared tasks name.", [])

    celery: Target | None = key(
        'Celery application, "module:attribute": its workers run under the supervisor.',
        stands_for="no Celery workers",
    )
    celery_processes: Annotated[int, Field(ge=1, le=PROCESSES_MAX)] = key(
        "Celery workers of it.", 1
    )
    celery_concurrency: Annotated[int, Field(ge=1, le=1024)] = key(
        "Tasks one Celery worker runs at a time.", 2
    )

    cache: AppCacheKey | None = key(
        'Keep answers at the edge: "auto", "http", or a table.', stands_for="nothing is kept"
    )
    compress: bool = key("Compress answers that the app left plain.", True)
    cache_control: Annotated[str, AfterValidator(_cache_control)] = key(
        "Cache-Control of static files.", "public, max-age=60"
    )
    index: TextList = key("Files that answer for a directory.", ["index.html"], max_length=16)
    fallback: str | None = key(
        "File that answers where no file is, for single-page apps.", stands_for="404", min_length=1
    )
