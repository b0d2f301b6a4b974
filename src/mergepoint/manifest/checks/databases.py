"""Databases as a whole: names told apart, secrets that are none, drivers that are installed.

Place:  manifest.load -> [manifest.checks.databases]
Rule:   looks at the handed environment, never into a database; no secret in a message.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from mergepoint.core.problems import Severity
from mergepoint.manifest.databases import Followed
from mergepoint.manifest.machine import Machine
from mergepoint.manifest.shown import KeyPath
from mergepoint.manifest.site import Mode, Site
from mergepoint.manifest.validate import Draft, Report
from mergepoint.manifest.words import nearest


def check_databases(site: Site, draft: Draft, report: Report, machine: Machine) -> None:
    """Report what of `[[databases]]` cannot work."""
    seen: dict[str, int] = {}
    for one, position in zip(site.databases, draft.databases, strict=True):
        path: KeyPath = ("databases", position)
        if one.name in seen:
            first = seen[one.name] + 1
            report.add((*path, "name"), f"is the name of database {first}, too", value=one.name,
                       fix="give each a name of its own")  # fmt: skip
        seen.setdefault(one.name, position)
        _url(one, (*path, "url"), site.mode, report, machine)
        for place, app in enumerate(one.apps):
            if app not in site.apps:
                fix = nearest(app, list(site.apps)) or f"apps: {', '.join(site.apps) or 'none'}"
                report.add((*path, "apps", place), "is no app of this site", value=app, fix=fix)
        for table in sorted(one.keys.keys() & set(one.ignore)):
            fix = "remove it from ignore, or its keys"
            report.add((*path, "keys"), f"{table} is ignored", fix=fix)
    if site.databases and site.bus is not None and site.bus.url.is_remote_hub:
        fix = "name the databases in the manifest of the site whose hub it is"
        message = "are read by the site's own hub, and [bus] uses another machine's"
        report.add(("databases", 0), message, fix=fix)


def _url(one: Followed, path: KeyPath, mode: Mode, report: Report, machine: Machine) -> None:
    for name in one.url.missing:
        fix = f"export {name}=..., or in development write it into .env"
        report.add(path, f"the variable {name} is not set", fix=fix)
    if one.url.scheme not in {"postgresql", "postgres"}:
        return
    if not machine.has_package("psycopg"):
        fix = "pip install 'mergepoint[postgres]'"
        report.add(path, "needs psycopg, which is not installed", fix=fix)
    try:
        literal = urlsplit(one.url.written).password
    except ValueError:
        report.add(path, "is not the URL of a database", fix="write postgresql://user@host/name")
        return
    if literal and "${" not in literal:
        report.add(
            path,
            "holds a password, and this file is copied and committed",
            fix="write ${DATABASE_PASSWORD} in its place and put it into that variable",
            severity=Severity.ERROR if mode is Mode.PRODUCTION else Severity.WARNING,
        )
