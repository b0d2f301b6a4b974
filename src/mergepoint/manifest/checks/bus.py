"""The bus as a whole: engines that can do what is asked, apps that exist, secrets that are none.

Place:  manifest.load -> [manifest.checks.bus]
Rule:   looks at files and the handed environment, never at the network; no secret in a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from mergepoint.core.problems import Severity
from mergepoint.manifest.checks.search import Found, find_module, search_paths
from mergepoint.manifest.machine import Machine
from mergepoint.manifest.messages import HUB, Bus, Subscription
from mergepoint.manifest.shown import KeyPath
from mergepoint.manifest.site import App, Mode, Site
from mergepoint.manifest.tables.bus import SCHEMES, URL_FIX
from mergepoint.manifest.validate import Draft, Report
from mergepoint.manifest.words import nearest

URL: KeyPath = ("bus", "url")
ENGINES: Mapping[str, tuple[str, str, str]] = {
    "postgresql": ("postgresql", "postgres", "psycopg"),
    "postgres": ("postgresql", "postgres", "psycopg"),
    "amqp": ("rabbitmq", "rabbitmq", "aio-pika"),
    "amqps": ("rabbitmq", "rabbitmq", "aio-pika"),
    "redis": ("redis", "redis", "redis"),
    "rediss": ("redis", "redis", "redis"),
    "nats": ("nats", "nats", "nats-py"),
    "zmq+tcp": ("zeromq", "zeromq", "pyzmq"),
    "zmq+ipc": ("zeromq", "zeromq", "pyzmq"),
    "xmpp": ("xmpp", "xmpp", "slixmpp"),
}
"""By scheme: the engine, the extra of Mergepoint and the distribution that speak to it."""
LACKS: Mapping[str, frozenset[str]] = {
    "zeromq": frozenset({"queues", "bind"}),
    "xmpp": frozenset({"queues", "bind"}),
}
"""What an engine cannot do at all; bus.capabilities says the rest once it is connected."""
ABLE = "hub, postgresql, rabbitmq, redis or nats"
"""Engines with queues and named subscriptions."""
TOKEN_BYTES_MIN = 16


def check_bus(site: Site, draft: Draft, report: Report, machine: Machine) -> None:
    """Report what of the bus, tasks, subscriptions and schedules cannot work."""
    _tasks(site, draft, report, machine)
    for subscription, position in zip(site.subscriptions, draft.subscriptions, strict=True):
        _subscription(site, subscription, ("subscriptions", position), report)
    _twice(site, draft, report)
    _schedules(site, draft, report)
    if site.bus is not None and "url" not in draft.bus_broken:
        _url(site.bus, site.mode, report)
        _engine(site, site.bus, draft, report, machine)
    if site.bus is not None:
        _doors(site.bus, draft, report, machine)
        if "outboxes" not in draft.bus_broken:
            _outboxes(site.bus, report, machine)


def _tasks(site: Site, draft: Draft, report: Report, machine: Machine) -> None:
    for one in site.apps.values():
        if one.tasks is None or not machine.is_dir(one.directory):
            continue
        paths = search_paths(one, machine)
        if find_module(one.tasks.module, one.directory, paths) is Found.MISSING:
            report.add(
                ("apps", one.name, "tasks"),
                f"there is no module {one.tasks.module} in {one.directory} or its environment",
                fix="correct the name or `directory`; until then no task of the app runs",
                value=one.tasks.module,
                severity=Severity.WARNING,
            )
    for app in draft.apps.values():
        for key in ("task_processes", "task_threads", "task_queues"):
            if key in app.written and app.table.tasks is None and app.sound("tasks"):
                fix = 'add tasks = "module", or remove it'
                report.add(("apps", app.name, key), "means nothing without tasks", fix=fix)
        for key in ("celery_processes", "celery_concurrency"):
            if key in app.written and app.table.celery is None and app.sound("celery"):
                fix = 'add celery = "module:app", or remove it'
                report.add(("apps", app.name, key), "means nothing without celery", fix=fix)


def _subscription(site: Site, given: Subscription, path: KeyPath, report: Report) -> None:
    app = site.apps.get(given.app)
    if app is None:
        known = [name for name, one in site.apps.items() if _takes_posts(one)]
        fix = nearest(given.app, known) or f"apps: {', '.join(known) or 'none'}"
        report.add((*path, "app"), "is no app of this site", fix=fix, value=given.app)
    elif not _takes_posts(app):
        fix = "name an app with workers, or a service"
        report.add((*path, "app"), f"is {app.kind} and takes no posts", fix=fix, value=given.app)
    if given.on.startswith("mp."):
        fix = "name topics of your apps"
        report.add((*path, "on"), "are messages of Mergepoint itself", fix=fix, value=given.on)


def _takes_posts(app: App) -> bool:
    return (app.kind.has_processes or app.kind == "http") and not app.builtin


def _twice(site: Site, draft: Draft, report: Report) -> None:
    seen: dict[str, int] = {}
    for given, position in zip(site.subscriptions, draft.subscriptions, strict=True):
        if given.queue in seen:
            first = seen[given.queue] + 1
            message = f"is the same as subscription {first}: messages would be shared between both"
            report.add(("subscriptions", position), message, fix="remove one")
        seen.setdefault(given.queue, position)


def _schedules(site: Site, draft: Draft, report: Report) -> None:
    with_tasks = [name for name, app in site.apps.items() if app.tasks is not None]
    known = f"apps with tasks: {', '.join(with_tasks) or 'none'}"
    for schedule, position in zip(site.schedules, draft.schedules, strict=True):
        path = ("schedules", position)
        app = schedule.app
        if app in with_tasks or (app in draft.apps and "tasks" in draft.apps[app].broken):
            continue
        if app in site.apps:
            fix = f'add tasks = "module" under [apps.{app}]'
            report.add((*path, "app"), "has no tasks", fix=fix, value=app)
        elif app:
            fix = nearest(app, with_tasks) or known
            report.add((*path, "app"), "is no app of this site", fix=fix, value=app)
        elif with_tasks:
            fix = f'add app = "{with_tasks[0]}"'
            message = "may be a task of several apps"
            report.add((*path, "task"), message, fix=fix, value=schedule.task)
        else:
            fix = 'add tasks = "module" to the app that declares it'
            report.add((*path, "task"), "no app has tasks", fix=fix, value=schedule.task)


def _url(bus: Bus, mode: Mode, report: Report) -> None:
    for name in bus.url.missing:
        fix = f"export {name}=..., or in development write it into .env"
        report.add(URL, f"the variable {name} is not set", fix=fix)
    if not bus.url.missing and bus.url.scheme not in {HUB, *SCHEMES}:
        report.add(URL, "is no engine of the bus in its variable", fix=URL_FIX)
        return
    try:
        literal = urlsplit(bus.url.written).password
        urlsplit(bus.url.value).port  # noqa: B018 - raises when it is no number
    except ValueError:
        if not bus.url.missing:
            report.add(URL, "is not the URL of an engine", fix='write "hub"')
        return
    if literal and "${" not in literal:
        report.add(
            URL,
            "holds a password, and this file is copied and committed",
            fix="write ${BUS_PASSWORD} in its place and put it into that variable",
            severity=Severity.ERROR if mode is Mode.PRODUCTION else Severity.WARNING,
        )


def _outboxes(bus: Bus, report: Report, machine: Machine) -> None:
    for position, url in enumerate(bus.outboxes):
        path: KeyPath = ("bus", "outboxes", position)
        for name in url.missing:
            fix = f"export {name}=..., or in development write it into .env"
            report.add(path, f"the variable {name} is not set", fix=fix)
        if url.scheme in {"postgresql", "postgres"} and not machine.has_package("psycopg"):
            fix = "pip install 'mergepoint[postgres]'"
            report.add(path, "needs psycopg, which is not installed", fix=fix)


def _engine(site: Site, bus: Bus, draft: Draft, report: Report, machine: Machine) -> None:
    engine, extra, package = ENGINES.get(bus.url.scheme, ("", "", ""))
    if not engine:
        return
    if not machine.has_package(package):
        fix = f"pip install 'mergepoint[{extra}]'"
        report.add(URL, f"needs {package}, which is not installed", fix=fix)
    lacks = LACKS.get(engine, frozenset())
    use = f"use {ABLE}"
    if "bind" in lacks:
        for position in draft.subscriptions:
            message = f"the engine {engine} keeps no messages for an app that is not there"
            report.add(("subscriptions", position), message, fix=use)
    if "queues" in lacks:
        for app in site.apps.values():
            if app.tasks is not None:
                message = f"the engine {engine} has no queues for tasks"
                report.add(("apps", app.name, "tasks"), message, fix=use)


def _doors(bus: Bus, draft: Draft, report: Report, machine: Machine) -> None:
    """Report what is missing for other machines, or is there for nobody."""
    files = {"certificate": bus.certificate, "key": bus.key, "token_file": bus.token_file}
    if "listen" in draft.bus_broken or draft.bus_broken & set(files):
        return
    wanted = set(files) if bus.listen else {"token_file"} if bus.url.is_remote_hub else set()
    for name, file in files.items():
        path: KeyPath = ("bus", name)
        if file is None and name in wanted:
            what = "listen" if bus.listen else "url"
            message = f"other machines are reached over TLS with a token: {name} is missing"
            report.add(("bus", what), message, fix=f'add {name} = "..." under [bus]')
        elif file is not None and name not in wanted:
            fix = 'add listen = "0.0.0.0:7400", or remove it'
            report.add(path, "means nothing without listen", fix=fix)
        elif file is not None and not machine.is_readable(file):
            report.add(path, f"there is no file {file} that can be read", fix="correct the path")
        elif file is not None and name != "certificate" and machine.is_open_to_others(file):
            report.add(path, f"every user may read {file}", fix=f"chmod 600 {file}")
        elif file is not None and name == "token_file" and file.stat().st_size < TOKEN_BYTES_MIN:
            fix = f"head -c 32 /dev/urandom | base64 > {file}"
            report.add(path, f"holds fewer than {TOKEN_BYTES_MIN} characters", fix=fix)
    if bus.listen and not bus.url.is_own_hub:
        fix = 'remove it, or write url = "hub"'
        report.add(("bus", "listen"), "is an address of the hub, which url replaces", fix=fix)
