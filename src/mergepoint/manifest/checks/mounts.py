"""No two apps at one place, and nothing that a reader of the manifest would not expect.

Place:  manifest.load -> [manifest.checks.mounts]
Rule:   pure; the first app in the file keeps the place, the second is told where the first stands.
"""

from __future__ import annotations

from mergepoint.core.problems import Severity
from mergepoint.manifest.shown import KeyPath
from mergepoint.manifest.site import App, Mount, Site
from mergepoint.manifest.validate import Draft, Report


def check_mounts(site: Site, draft: Draft, report: Report) -> None:
    """Report mounts that two apps want, mounts inside others, and hosts without a front page."""
    owners: dict[Mount, App] = {}
    own = [app for app in site.apps.values() if app.builtin]
    for app in (*own, *(app for app in site.apps.values() if not app.builtin)):
        if not app.builtin and not draft.apps[app.name].sound("at", "host"):
            continue
        for mount in dict.fromkeys(app.mounts):
            owner = owners.setdefault(mount, app)
            if owner is not app:
                _taken(app, mount, owner, report)
        if len(set(app.mounts)) != len(app.mounts):
            fix = "write each mount once"
            severity = Severity.WARNING
            report.add(_written(app), "names a mount twice", fix=fix, severity=severity)
    _nested(owners, report)
    if not any(not app.sound("at", "host") for app in draft.apps.values()):
        _frontless(owners, report)


def shown_mount(mount: Mount) -> str:
    """Return ``/tickets``, or ``example.org/tickets``."""
    return mount.path if mount.host == "*" else f"{mount.host}{mount.path}"


def _written(app: App) -> KeyPath:
    if app.builtin:
        return ("identity", "at") if "at" in app.origins else ("identity",)
    for key in ("at", "host"):
        if key in app.origins:
            return ("apps", app.name, key)
    return ("apps", app.name)


def _taken(app: App, mount: Mount, owner: App, report: Report) -> None:
    place = shown_mount(mount)
    if owner.builtin:
        message = f"{place} is where people log in ({owner.origin})"
        report.add(_written(app), message, fix="mount it elsewhere, or set `at` under [identity]")
        return
    message = f"{place} belongs to {owner.name} already ({owner.origin})"
    below = f"{place.rstrip('/')}/{app.name}"
    report.add(_written(app), message, fix=f'mount one of them elsewhere, such as at = "{below}"')


def _nested(owners: dict[Mount, App], report: Report) -> None:
    for mount, app in owners.items():
        for outer, owner in owners.items():
            inside = mount.host == outer.host and mount.path.startswith(f"{outer.path}/")
            if inside and owner.builtin:
                _inside_own(app, mount, outer, report)
            elif inside and not app.builtin and outer.path != "/" and owner is not app:
                report.add(
                    _written(app),
                    f"{shown_mount(mount)} lies inside {shown_mount(outer)} of {owner.name}, "
                    "which no longer sees it",
                    fix="nothing, if that is meant",
                    severity=Severity.WARNING,
                )


def _inside_own(app: App, mount: Mount, outer: Mount, report: Report) -> None:
    report.add(
        _written(app),
        f"{shown_mount(mount)} lies inside {shown_mount(outer)}, where people log in",
        fix=f'mount it elsewhere, such as at = "/{app.name}", or set `at` under [identity]',
    )


def _frontless(owners: dict[Mount, App], report: Report) -> None:
    """A host of its own decides alone, so what other apps mount for any host is not below it."""
    written = [mount for mount, app in owners.items() if not app.builtin]
    any_host = sorted(mount.path for mount in written if mount.host == "*")
    hosts = {mount.host for mount in written if mount.host != "*"}
    for host in sorted(hosts):
        if any_host and Mount("/", host) not in owners:
            app = next(app for mount, app in owners.items() if mount.host == host)
            report.add(
                _written(app),
                f"{host} has routes of its own and none for /, "
                f"so {any_host[0]} of any host is 404 there",
                fix=f'add "{host}/" to the app that should answer',
                severity=Severity.WARNING,
            )
