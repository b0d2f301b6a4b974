"""Bound the CPU and memory of an app by a control group, where the system lets us make one.

Place:  supervisor.workers -> [supervisor.cgroup] -> /sys/fs/cgroup
Rule:   only below our own delegated group (systemd: ``Delegate=yes``); anything refused leaves the
        processes to niceness and to the supervisor's own watch over memory.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from mergepoint.supervisor.contract import ProcessLimits

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
QUOTA_US_MIN = 1_000
CONTROLLERS = ("cpu", "memory")
OWN = "mergepoint.supervisor"
APPS = "mergepoint.apps"


class Groups:
    """The groups below ours; `group_for` gives the one a process should enter, or an empty path."""

    def __init__(self, own: Path | None) -> None:
        self._apps = own / APPS if own is not None and _delegated(own) else None

    @property
    def usable(self) -> bool:
        """Tell whether this system lets us bound processes by groups."""
        return self._apps is not None

    def group_for(self, app: str, slot: int, limits: ProcessLimits) -> str:
        """Return the group of a slot with its bounds set; empty when there is nothing to bound."""
        if self._apps is None or (limits.cpu_share is None and limits.memory_bytes_max is None):
            return ""
        group = self._apps / f"{app}.{slot}"
        try:
            group.mkdir(exist_ok=True)
            for name, value in bounds(limits).items():
                (group / name).write_text(value)
        except OSError:
            return ""
        return str(group)


def bounds(limits: ProcessLimits) -> dict[str, str]:
    """Return what is written into the files of a group.

    During a roll a slot holds two processes, so the hard memory bound is twice the limit; the
    limit of one process is watched by the supervisor.
    """
    found: dict[str, str] = {}
    if limits.cpu_share is not None:
        quota_us = max(QUOTA_US_MIN, round(limits.cpu_share * PERIOD_US))
        found["cpu.max"] = f"{quota_us} {PERIOD_US}"
    if limits.memory_bytes_max is not None:
        found["memory.max"] = str(2 * limits.memory_bytes_max)
    return found


def own_group(text: str, root: Path = ROOT) -> Path | None:
    """Return our group from the text of ``/proc/self/cgroup``; None without cgroup version 2.

    The root group is nobody's to divide.
    """
    for line in text.splitlines():
        if line.startswith("0::/") and line != "0::/" and (root / "cgroup.controllers").exists():
            own = root / line.removeprefix("0::/")
            # An earlier supervisor of this service has moved us to its leaf.
            return own.parent if own.name == OWN else own
    return None


def find() -> Groups:
    """Return the groups of this process."""
    with contextlib.suppress(OSError):
        return Groups(own_group(Path("/proc/self/cgroup").read_text()))
    return Groups(None)


def _delegated(own: Path) -> bool:
    """Make the groups below ours; tell whether the system allowed it.

    A group with processes of its own cannot hand controllers down, so we move to a leaf first.
    """
    try:
        offered = (own / "cgroup.controllers").read_text().split()
        if not set(CONTROLLERS) <= set(offered):
            return False
        for name in (OWN, APPS):
            (own / name).mkdir(exist_ok=True)
        (own / OWN / "cgroup.procs").write_text(str(os.getpid()))
        switch_on = " ".join(f"+{name}" for name in CONTROLLERS)
        (own / "cgroup.subtree_control").write_text(switch_on)
        (own / APPS / "cgroup.subtree_control").write_text(switch_on)
    except OSError:
        return False
    return True
