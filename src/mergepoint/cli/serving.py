"""Run a site in this process, for people (`run`) or for programs (`start`).

Place:  cli.commands.run, cli.commands.start -> [cli.serving] -> assembly.serve
Rule:   only joins: manifest in, reporter out; a busy port is answered with its owner.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mergepoint.cli.invocation import Invocation
from mergepoint.core.errors import MergepointError

if TYPE_CHECKING:
    from mergepoint.manifest.site import Site


def serve_for_people(asked: Invocation, *, port: int | None, watch: bool | None) -> int:
    """Serve under the development profile with the first screen and keys; return the exit code."""
    from mergepoint.assembly.serve import run_site
    from mergepoint.cli.first_administrator import AdministratorLink
    from mergepoint.cli.keys import Keys
    from mergepoint.cli.manifest_watch import ManifestWatch
    from mergepoint.cli.run_reporter import RunReporter
    from mergepoint.core.clock import SystemClock

    keys = asked.interactive() and sys.stdout.isatty()
    reporter = RunReporter(SystemClock(), _frameworks, keys=keys, verbose=asked.verbosity > 0)
    link = AdministratorLink(reporter, sys.stdout)

    def begin(site: Site) -> None:
        reporter.begin(site)
        link.begin(site)

    source = site_source(asked, "development", port, begin)
    site = source()
    manifest = ManifestWatch(site.file, site.run_dir, enabled=watch is not False)
    with Keys(site.run_dir, reporter, enabled=keys), manifest:
        again = after(site, source)
        return _explained(lambda: run_site(again, reporter=link, watch=watch), site)


def serve_for_programs(asked: Invocation, *, port: int | None) -> int:
    """Serve under the production profile with JSON lines on stdout; return the exit code."""
    from mergepoint.assembly.serve import run_site
    from mergepoint.cli.first_administrator import AdministratorLink
    from mergepoint.supervisor.report import StreamReporter

    link = AdministratorLink(StreamReporter(sys.stdout, colour=False), sys.stderr)
    source = site_source(asked, "production", port, link.begin)
    site = source()
    again = after(site, source)
    return _explained(lambda: run_site(again, reporter=link, watch=False), site)


def site_source(
    asked: Invocation,
    profile: str,
    port: int | None,
    on_load: Callable[[Site], None] = lambda _site: None,
) -> Callable[[], Site]:
    """Return what reads the manifest, now and at every reload."""
    from mergepoint.cli.site import load

    def read() -> Site:
        overrides = {"port": port} if port is not None else None
        site = load(asked, default_profile=profile, overrides=overrides)
        on_load(site)
        return site

    return read


def after(site: Site, source: Callable[[], Site]) -> Callable[[], Site]:
    """Return a source whose first answer is the site that was just read."""
    first = [site]

    def read() -> Site:
        return first.pop() if first else source()

    return read


def _frameworks(site: Site) -> Mapping[str, str]:
    from mergepoint.detect.serving import framework_of

    return {name: framework_of(app) for name, app in site.apps.items()}


def _explained(serve: Callable[[], int], site: Site) -> int:
    from mergepoint.cli.ports import busy_listener

    try:
        return serve()
    except MergepointError as error:
        busy = busy_listener(site) if "use" in error.message else None
        if busy is None:
            raise
        raise busy from error
