"""The databases and queries a command is about: from the manifest, or the environment.

Place:  cli.commands.{sql,db,migrate} -> [cli.databases] -> mergepoint.data
Rule:   `MERGEPOINT_DATABASES` goes before the manifest, as it does for a worker.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mergepoint.cli.invocation import invocation
from mergepoint.core.errors import ManifestRefused

if TYPE_CHECKING:
    from mergepoint.data.config import Database
    from mergepoint.data.site import Data
    from mergepoint.manifest.site import Site

QUERIES = "queries"
"""Where an app's SQL methods are looked for, unless told."""
RECORDS = "queries-*.json"
RECORD_BYTES_MAX = 16 << 20


def site_or_none() -> Site | None:
    """Return the site of this invocation; None where there is no manifest."""
    from mergepoint.cli.site import load

    asked = invocation()
    try:
        return load(asked)
    except ManifestRefused:
        if asked.config is not None or not os.environ.get("MERGEPOINT_DATABASES"):
            raise
        return None


def databases(site: Site | None) -> tuple[Database, ...]:
    """Return the databases by name."""
    from mergepoint.data.config import VARIABLE, Database, databases_of

    told = databases_of(os.environ.get(VARIABLE, ""))
    if told or site is None:
        return told
    return tuple(Database(one.name, one.url.value) for one in site.databases)


@contextlib.contextmanager
def opened(site: Site | None) -> Iterator[Data]:
    """Give the databases, and close them."""
    from mergepoint.core.clock import SystemClock
    from mergepoint.data.site import Data

    try:
        data = Data(databases(site), SystemClock())
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    try:
        yield data
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    finally:
        data.close()


def database_of(site: Site | None, app: str) -> str:
    """Return the database of an app: the first that names it, else the first; empty without any."""
    if site is not None and not os.environ.get("MERGEPOINT_DATABASES"):
        for one in site.databases:
            if app in one.apps:
                return one.name
    known = databases(site)
    return known[0].name if known else ""


def records(site: Site) -> list[dict[str, Any]]:
    """Return what the workers have written down of their queries."""
    found = []
    for folder in sorted({site.run_dir, *_beside(site.run_dir)}):
        for file in sorted(folder.glob(RECORDS)):
            with contextlib.suppress(OSError, ValueError):
                if file.stat().st_size <= RECORD_BYTES_MAX:
                    found.append({"worker": file.stem, **json.loads(file.read_text())})
    return found


def _beside(run_dir: Path) -> list[Path]:
    return [one for one in run_dir.parent.glob(f"{run_dir.name}*") if one.is_dir()]


def _missing(error: ModuleNotFoundError) -> Exception:
    from mergepoint.data.errors import DataRefused

    return DataRefused(f"{error.name} is not installed", next="pip install 'mergepoint[data]'")
