"""Measure the processes: memory and CPU of each process group, in one pass over /proc.

Place:  /proc -> [supervisor.sample] -> supervisor.observe
Rule:   a process that ends while it is read is left out; nothing here waits.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PGRP, UTIME, STIME, RSS = 2, 11, 12, 21


@dataclass(frozen=True, slots=True)
class Usage:
    """What a worker and everything it started use."""

    rss_bytes: int = 0
    cpu_s: float = 0.0


def usage(pids: Iterable[int]) -> dict[int, Usage]:
    """Return the use of every process group led by one of `pids`."""
    wanted = set(pids)
    found = dict.fromkeys(wanted, Usage())
    for entry in Path("/proc").iterdir() if wanted else ():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            leader = int(fields[PGRP])
            if leader in wanted:
                found[leader] = Usage(
                    found[leader].rss_bytes + int(fields[RSS]) * PAGE_BYTES,
                    found[leader].cpu_s + (int(fields[UTIME]) + int(fields[STIME])) / TICKS_PER_S,
                )
    return found
