"""What the shell may complete: names of apps of the manifest found from here.

Place:  shell -> [cli.completing] -> cli.commands.*
Rule:   fast and silent: reads names with tomllib alone, and offers nothing when anything is wrong.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click


def complete_apps(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the app names that start with `incomplete`."""
    try:
        return [name for name in _names() if name.startswith(incomplete)]
    except (OSError, ValueError):
        return []


def _names() -> list[str]:
    import tomllib

    given = os.environ.get("MERGEPOINT_CONFIG")
    here = Path.cwd()
    places = [Path(given)] if given else [p / "mergepoint.toml" for p in (here, *here.parents)]
    for path in places:
        if path.is_file():
            apps: Any = tomllib.loads(path.read_text(encoding="utf-8")).get("apps", {})
            return sorted(apps) if isinstance(apps, dict) else []
    return []
