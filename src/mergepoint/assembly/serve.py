"""Run a site until it is stopped: the one entry behind `mergepoint run` and `mergepoint start`.

Place:  cli -> [assembly.serve] -> supervisor.run
Rule:   joins the parts and returns an exit code; printing is the reporter's business.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from mergepoint.assembly.build import wanted_from_site
from mergepoint.core.clock import SystemClock
from mergepoint.edge.control import connect_edge
from mergepoint.manifest.rundir import make_run_dir
from mergepoint.manifest.site import Mode, Site
from mergepoint.supervisor.contract import EdgeConnector, SnapshotSource, Wanted
from mergepoint.supervisor.report import Reporter
from mergepoint.supervisor.run import Supervisor

SiteSource = Callable[[], Site]
"""Reads and checks the manifest again; raises `ManifestRefused` with every error."""


def run_site(
    site_source: SiteSource,
    *,
    reporter: Reporter,
    watch: bool | None = None,
    edge_binary: Path | None = None,
) -> int:
    """Serve the site until TERM, INT or the verb `stop`; return the exit code.

    `site_source` is called at once and again on HUP and `reload`. `watch` reloads an app when one
    of its watched paths changes; None means only in development. `edge_binary` overrides the
    search in `MERGEPOINT_EDGE_BINARY`, beside the interpreter and on PATH.

    Raises `MergepointError` when the site cannot start at all: a manifest that is refused, a port
    in use, a second supervisor, no edge binary. One app that fails is not such a case.
    """
    site = site_source()
    make_run_dir(site.run_dir)
    first: list[Site] = [site]

    def wanted() -> tuple[Wanted, SnapshotSource]:
        read = first.pop() if first else site_source()
        return wanted_from_site(read, environ=os.environ, edge_binary=edge_binary)

    watching = site.mode is Mode.DEVELOPMENT if watch is None else watch
    connector: EdgeConnector = connect_edge
    return asyncio.run(_serve(wanted, connector, reporter, watch=watching))


async def _serve(
    wanted: Callable[[], tuple[Wanted, SnapshotSource]],
    connector: EdgeConnector,
    reporter: Reporter,
    *,
    watch: bool,
) -> int:
    supervisor = Supervisor(
        wanted, connector, reporter, SystemClock(), environment=os.environ, watch=watch
    )
    return await supervisor.run()
