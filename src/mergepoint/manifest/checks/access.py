"""What apps ask of who comes: terms that exist, guards that can match, headers that may be used.

Place:  manifest.load -> [manifest.checks.access]
Rule:   pure; a guard that could never do what its reader expects is an error, not a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mergepoint.core.problems import Severity
from mergepoint.manifest.checks.headers import identity_header_fault
from mergepoint.manifest.checks.roles import role_fix
from mergepoint.manifest.resolve_identity import EVERYTHING
from mergepoint.manifest.shown import KeyPath, quoted
from mergepoint.manifest.site import App, Site
from mergepoint.manifest.tables.access import GuardTable
from mergepoint.manifest.tables.requirements import parse_requirement
from mergepoint.manifest.validate import AppDraft, Draft, Report
from mergepoint.manifest.words import nearest

DECIDES_ALONE = {
    "public": "lets everybody in, so the others never count",
    "nobody": "never lets anybody in, so it adds nothing to the others",
}


def check_access(site: Site, draft: Draft, report: Report) -> None:
    """Report guards, requirements and identity headers that cannot mean what they say."""
    if site.identity is None or draft.identity is None:
        return
    if "require" not in draft.identity_broken:
        _terms(("identity", "require"), draft.identity.require, site, report)
    for name, app in draft.apps.items():
        base: KeyPath = ("apps", name)
        if app.sound("require"):
            _terms((*base, "require"), app.table.require or (), site, report)
        if app.sound("guards"):
            for position, guard in enumerate(app.table.guards):
                _terms((*base, "guards", position, "require"), guard.require, site, report)
            _same_place(base, app.table.guards, report)
            _mounted(site.apps.get(name), app.table.guards, report)
        if app.sound("csrf_exempt") and "/" in app.table.csrf_exempt:
            _exempt(base, report)
        if app.sound("identity_headers"):
            _headers(base, app, report)


def _terms(path: KeyPath, terms: Sequence[str], site: Site, report: Report) -> None:
    for position, term in enumerate(terms):
        inner = (*path, position) if len(terms) > 1 else path
        kind, name = parse_requirement(term)
        if kind == "role" and name not in site.roles:
            report.add(inner, f"there is no role {name}", fix=role_fix(name, site), value=term)
        elif kind == "permission" and not _granted(name, site):
            report.add(inner, f"no role grants {name}", fix=_grant_fix(name, site), value=term)
        elif kind in DECIDES_ALONE and len(terms) > 1:
            severity = Severity.WARNING
            fix = f"leave the others out, or {quoted(term)}"
            report.add(inner, DECIDES_ALONE[kind], fix=fix, value=term, severity=severity)


def _granted(permission: str, site: Site) -> bool:
    """Tell whether a role grants it by its own name or by a family; "*" grants typing mistakes."""
    return any(
        grant == permission or (grant.endswith(".*") and permission.startswith(grant[:-1]))
        for role in site.roles.values()
        for grant in role.granted
    )


def _grant_fix(permission: str, site: Site) -> str:
    grants = {grant for role in site.roles.values() for grant in role.granted} - {EVERYTHING}
    near = nearest(permission, sorted(grants))
    return near or f'add it to a role: [roles.NAME] permissions = ["{permission}"]'


def _same_place(base: KeyPath, guards: Sequence[GuardTable], report: Report) -> None:
    """Two guards of one path decide by method; a method in both would have two answers."""
    seen: dict[tuple[str, str], int] = {}
    for position, guard in enumerate(guards):
        for method in guard.methods or [""]:
            first = seen.setdefault((guard.path, method), position)
            if first != position:
                what = f"{method} {guard.path}" if method else f"{guard.path} of every method"
                message = f"guards {what} again, after guard {first + 1}"
                fix = "keep one; a list in `require` is met by any of its terms"
                report.add((*base, "guards", position, "path"), message, fix=fix, value=guard.path)
                break


def _mounted(app: App | None, guards: Sequence[GuardTable], report: Report) -> None:
    """A path that repeats the mount is below it twice, where nothing is."""
    mounts = {mount.path for mount in app.mounts if mount.path != "/"} if app else set()
    for position, guard in enumerate(guards):
        for mount in sorted(mounts):
            if app and (guard.path == mount or guard.path.startswith(f"{mount}/")):
                report.add(
                    ("apps", app.name, "guards", position, "path"),
                    f"is below the mount, so it guards {mount}{guard.path}",
                    fix=f'write "{guard.path.removeprefix(mount) or "/"}"',
                    value=guard.path,
                    severity=Severity.WARNING,
                )


def _exempt(base: KeyPath, report: Report) -> None:
    report.add(
        (*base, "csrf_exempt"),
        "lets every other site act in the name of who is logged in",
        fix="name the paths that others must call, such as /hooks",
        value="/",
        severity=Severity.WARNING,
    )


def _headers(base: KeyPath, app: AppDraft, report: Report) -> None:
    seen: dict[str, str] = {}
    for header, fault in _faults(app.table.identity_headers):
        path = (*base, "identity_headers", header)
        report.add(path, fault[0], fix=fault[1])
    for header in app.table.identity_headers:
        first = seen.setdefault(header.lower(), header)
        if first != header:
            message = f"is {first} again: names of headers have no case"
            report.add((*base, "identity_headers", header), message, fix="keep one")


def _faults(headers: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, str]]]:
    for header in headers:
        fault = identity_header_fault(header.lower())
        if fault is not None:
            yield header, fault
