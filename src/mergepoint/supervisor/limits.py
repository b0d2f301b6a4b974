"""Translate an app's limits into what the kernel enforces on each of its processes.

Place:  supervisor.contract -> [supervisor.limits] -> supervisor.workers
Rule:   pure; None leaves the system's own limit.
"""

from __future__ import annotations

import math

from mergepoint.supervisor.contract import ProcessLimits

DATA_HEADROOM_BYTES = 512 << 20
"""Above twice the memory limit, because the kernel also counts stacks and unused reserves."""
NICE_MAX = 19
OOM_SCORE_ADJ = 200
"""Workers end before the edge and the supervisor when the machine runs out of memory."""


def rlimits(limits: ProcessLimits) -> dict[str, int]:
    """Return resource limits by name.

    The memory limit itself is kept by replacing the process once it holds more; the kernel's bound
    lies above it and only stops a process that grows faster than it can be replaced.
    """
    found: dict[str, int] = {}
    if limits.open_files_max is not None:
        found["RLIMIT_NOFILE"] = limits.open_files_max
    if limits.child_processes_max is not None:
        found["RLIMIT_NPROC"] = limits.child_processes_max
    if limits.memory_bytes_max is not None:
        found["RLIMIT_DATA"] = 2 * limits.memory_bytes_max + DATA_HEADROOM_BYTES
    return found


def niceness(cpu_share: float | None) -> int:
    """Return the niceness of a CPU share below one: each step weighs a fifth less."""
    if cpu_share is None or cpu_share >= 1.0:
        return 0
    return min(NICE_MAX, max(1, round(math.log(max(cpu_share, 0.01)) / math.log(0.8))))
