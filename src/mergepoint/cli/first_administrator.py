"""Show the link of the first administrator once the site serves and nobody can administer it.

Place:  cli.serving -> [cli.first_administrator] -> a reporter, identity.accounts.first_link
Rule:   asks in a thread and a process of their own, since a reporter must return at once; the link
        goes to the given stream alone, never into a log of the site.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TextIO

from mergepoint.core.errors import MergepointError
from mergepoint.identity.accounts.config import VARIABLE
from mergepoint.identity.accounts.from_site import settings_json
from mergepoint.manifest.access import ACCOUNTS
from mergepoint.manifest.site import Site
from mergepoint.supervisor.report import LogLine, Progress, Reporter, Step

ASK_S_MAX = 60.0
"""Importing the accounts app takes seconds on a busy machine."""
MODULE = "mergepoint.identity.accounts.first_link"

Ask = Callable[[Site], list[str]]


class AdministratorLink:
    """A reporter that passes everything on, and shows the link after the site is ready."""

    def __init__(self, inner: Reporter, stream: TextIO, ask: Ask | None = None) -> None:
        self._inner = inner
        self._stream = stream
        self._ask = ask or ask_accounts
        self._site: Site | None = None
        self._site_ready = False
        self._accounts_ready = False
        self.asking: threading.Thread | None = None
        """The one that asks; None until accounts serves for the first time."""

    def begin(self, site: Site) -> None:
        """Take the site as it is read, now and at every reload."""
        self._site = site

    def progress(self, progress: Progress) -> None:
        """Pass the step on; ask once when both the site and accounts are ready."""
        self._inner.progress(progress)
        self._site_ready |= progress.step is Step.SITE_READY
        if progress.app == ACCOUNTS:
            self._accounts_ready |= progress.step in {Step.READY, Step.ADOPTED}
        site = self._site
        if self.asking is None and self._site_ready and self._accounts_ready and site is not None:
            self.asking = threading.Thread(target=self._show, args=(site,), daemon=True)
            self.asking.start()

    def line(self, line: LogLine) -> None:
        """Pass the line on."""
        self._inner.line(line)

    def _show(self, site: Site) -> None:
        lines = self._ask(site)
        if not lines:
            return
        try:
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._stream.flush()
        except (OSError, ValueError):  # the terminal has gone; the site must not go with it
            return


def ask_accounts(site: Site) -> list[str]:
    """Return the lines to show: the link, why there is none, or nothing when somebody administers.

    Waits for another process, `ASK_S_MAX` at most.
    """
    if site.identity is None:
        return []
    try:
        found = subprocess.run(
            [sys.executable, "-m", MODULE],
            env={**os.environ, VARIABLE: settings_json(site)},
            capture_output=True,
            text=True,
            timeout=ASK_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _without(f"accounts did not answer within {ASK_S_MAX:g} s")
    except (OSError, MergepointError) as error:
        return _without(str(error))
    if found.returncode != 0:
        return _without(found.stderr.strip().rpartition("\n")[2] or f"exit {found.returncode}")
    answer = json.loads(found.stdout)
    return link_lines(answer["url"], float(answer["life_s"])) if answer["url"] else []


def link_lines(url: str, life_s: float) -> list[str]:
    """Return what a person is told: where to go, and for how long."""
    minutes = round(life_s / 60)
    life = f"{minutes} minutes" if minutes < 120 else f"{round(minutes / 60)} hours"
    return [
        "",
        "  Nobody can administer this site yet. Whoever opens this link becomes the first:",
        f"  {url}",
        f"  It is good once, for {life}, and the next start makes it worthless.",
        "",
    ]


def _without(reason: str) -> list[str]:
    return [f"  The link of the first administrator could not be made: {reason}"]
