"""The site a command is about: find its manifest, load it, find an app in it.

Place:  cli.commands.* -> [cli.site] -> manifest.load
Rule:   commands for a running site work with a broken manifest too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mergepoint.cli.invocation import Invocation
from mergepoint.core.errors import Exit, MergepointError

if TYPE_CHECKING:
    from mergepoint.manifest.load import Loaded
    from mergepoint.manifest.site import Site

DEFAULT_PROFILE = "development"
DEFAULT_STATE_DIR = ".mergepoint"
CONTROL_SOCKET = "control.sock"


class UnknownApp(MergepointError):
    """No app of that name in the site."""

    code = "cli.unknown_app"
    exit = Exit.USAGE


class NoProcesses(MergepointError):
    """The app is served without processes of its own."""

    code = "cli.no_processes"
    exit = Exit.USAGE


@dataclass(frozen=True, slots=True)
class Running:
    """Where the supervisor of a site is asked, and what the manifest says if it is sound."""

    name: str
    file: Path
    run_dir: Path
    site: Site | None

    def check_apps(self, names: Iterable[str]) -> None:
        """Raise `UnknownApp` or `NoProcesses` for the first name that cannot be rolled."""
        for name in names:
            if self.site is not None and name not in services_of(self.site):
                require_processes(name, self.site)


def manifest_file(asked: Invocation) -> Path:
    """Return the manifest this invocation is about; raise `ManifestRefused` when there is none."""
    from mergepoint.manifest.read import find_manifest

    return find_manifest(Path.cwd(), asked.config, os.environ)


def load(
    asked: Invocation,
    *,
    default_profile: str = DEFAULT_PROFILE,
    overrides: Mapping[str, Any] | None = None,
) -> Site:
    """Return the checked site; raise `ManifestRefused` with every error at once."""
    from mergepoint.manifest.load import load_site

    return load_site(
        manifest_file(asked),
        profile=asked.profile or default_profile,
        environ=os.environ,
        overrides=overrides,
    )


def look(asked: Invocation, *, default_profile: str = DEFAULT_PROFILE) -> Loaded:
    """Return everything known about the manifest, whether it is sound or not."""
    from mergepoint.manifest.load import inspect

    file = manifest_file(asked)
    return inspect(file, profile=asked.profile or default_profile, environ=os.environ)


def running(asked: Invocation) -> Running:
    """Return where to ask the running site, even while its manifest is broken.

    Without `--profile` the profile is the one under which a supervisor has its socket, since a
    manifest may give each profile another state directory.
    """
    profiles = (asked.profile,) if asked.profile else (DEFAULT_PROFILE, "production")
    first = _under(asked, profiles[0])
    for profile in profiles[1:]:
        if (first.run_dir / CONTROL_SOCKET).exists():
            break
        other = _under(asked, profile)
        if (other.run_dir / CONTROL_SOCKET).exists():
            return other
    return first


def _under(asked: Invocation, profile: str) -> Running:
    from mergepoint.manifest.resolve import site_name
    from mergepoint.manifest.resolve_app import placed
    from mergepoint.manifest.rundir import run_dir_of

    file = manifest_file(asked)
    loaded = look(asked, default_profile=profile)
    if loaded.site is not None:
        return Running(loaded.site.name, file, loaded.site.run_dir, loaded.site)
    written = loaded.draft.site.state_dir if loaded.draft else DEFAULT_STATE_DIR
    state_dir = placed(file.parent, written)
    run_dir = run_dir_of(state_dir, os.environ, os.geteuid())
    return Running(site_name(file.parent.name), file, run_dir, None)


def services_of(site: Site) -> list[str]:
    """Return what runs beside the apps, as commands name it: `hub`, `gateway`, `shop.tasks`."""
    from mergepoint.assembly.messages import has_gateway

    bus = site.bus
    if bus is None:
        return []
    names = [] if bus.url.is_remote_hub else ["hub"]
    names += ["gateway"] if has_gateway(site, bus) else []
    return names + [f"{name}.tasks" for name, app in site.apps.items() if app.tasks is not None]


def require_app(name: str, known: Iterable[str]) -> str:
    """Return `name` when it is one of `known`; raise `UnknownApp` with the nearest one."""
    names = sorted(known)
    if name in names:
        return name
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"apps: {', '.join(names) or 'none'}"
    raise UnknownApp(f"no app {name!r} in this site; {hint}", next="mergepoint routes")


def require_processes(name: str, site: Site) -> None:
    """Raise `NoProcesses` when the app is a directory, a redirect or a service elsewhere."""
    kind = site.apps[require_app(name, site.apps)].kind
    if not kind.has_processes:
        raise NoProcesses(
            f"app {name!r} is {kind} and has no processes; its changes come with a reload",
            next="mergepoint reload",
        )


def mounts_text(site: Site, name: str) -> str:
    """Return where an app is mounted: ``/tickets`` or ``docs.example.org/``, ``-`` if unknown."""
    app = site.apps.get(name)
    if app is None:
        return "-"
    return " ".join(f"{'' if m.host == '*' else m.host}{m.path}" for m in app.mounts)
