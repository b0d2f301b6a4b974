"""Two apps at one place, and a mount inside another's.

Place:  detect.preflight -> [detect.checks.mounts]
Rule:   pure; compares whole path segments, as the edge's router does.
"""

from __future__ import annotations

from collections.abc import Iterator

from mergepoint.detect.candidate import Finding
from mergepoint.detect.subject import Subject


def mount_clashes(subject: Subject, other: Subject) -> Iterator[Finding]:
    """Report the same mount twice, and a mount that takes paths from another app."""
    for host, path in subject.mounts:
        for other_host, other_path in other.mounts:
            if host != other_host:
                continue
            if path.rstrip("/") == other_path.rstrip("/"):
                yield Finding(
                    "error",
                    "mount_taken",
                    f"{path} already belongs to {other.name}",
                    f"choose another path: --at {free_path(path, subject.name)}",
                )
            elif other_path != "/" and within(path, other_path):
                yield Finding(
                    "warning",
                    "mount_inside",
                    f"{path} lies inside {other.name}, which no longer sees requests there",
                    f"choose a path outside {other_path} unless that is meant",
                )


def within(path: str, prefix: str) -> bool:
    """Tell whether `path` lies below `prefix` on whole segments."""
    return prefix == "/" or f"{path.rstrip('/')}/".startswith(f"{prefix.rstrip('/')}/")


def free_path(path: str, name: str) -> str:
    """Return a path to propose instead of a taken one."""
    own = f"/{name}"
    return own if own != path.rstrip("/") else f"{own}-2"
