"""The forge as a running site: a copy of the example, prepared, with the real edge and accounts.

Place:  tests/browser, tests/forge_identity -> [forge_site] -> sites
Rule:   the manifest is the example's own; only its address, and what a test says, is another.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mergepoint_testkit.edge import edge_binary
from mergepoint_testkit.sites import RunningSite, running_site

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "forge"
PREPARE_S_MAX = 120.0
HISTORY_DEPTH = 20


def lay_out(checkout: Path) -> Path:
    """Copy the example to where it thinks it is in a checkout; return its directory, prepared."""
    place = checkout / "examples" / "forge"
    ignored = shutil.ignore_patterns(".mergepoint", "__pycache__", ".venv")
    shutil.copytree(EXAMPLE, place, ignore=ignored)
    (checkout / ".tools").symlink_to(ROOT / ".tools")
    clone = ["git", "clone", "-q", "--bare", "--no-local", f"--depth={HISTORY_DEPTH}"]
    subprocess.run([*clone, ROOT.as_uri(), ".git"], cwd=checkout, check=True)
    prepare = [sys.executable, str(place / "prepare.py"), "--quiet"]
    subprocess.run(prepare, check=True, timeout=PREPARE_S_MAX)
    return place


def manifest(place: Path, changes: Mapping[str, str]) -> str:
    """Return the example's manifest for a port to come, with texts changed that must be in it."""
    text = (place / "mergepoint.toml").read_text()
    # In production a site must be told its address; there is no better one than the test's.
    told = '[identity]\npublic_url = "http://127.0.0.1:{port}"\n'
    for old, new in {"127.0.0.1:8000": "127.0.0.1:{port}", "[identity]\n": told, **changes}.items():
        if old not in text:
            raise LookupError(f"the forge's manifest has no {old!r}")
        text = text.replace(old, new)
    return text


@contextmanager
def running_forge(
    checkout: Path, changes: Mapping[str, str] | None = None
) -> Iterator[RunningSite]:
    """Run the forge until the block ends; raise `SiteFailed` when an app does not get ready.

    Ready are also the processes beside the apps: hub, gateway, and those that run tasks.
    """
    place = lay_out(checkout)
    told = {"MERGEPOINT_EDGE_BINARY": str(edge_binary())}

    def all_ready(status: dict[str, Any]) -> bool:
        parts = [*status["apps"].values(), *status.get("services", {}).values()]
        return all(part["state"] in {"ready", "external"} for part in parts)

    with running_site(place, manifest(place, changes or {}), environment=told) as site:
        site.wait("every app ready", all_ready)
        yield site
