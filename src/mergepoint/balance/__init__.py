"""CPU and I/O side by side: work moved off the loop, shared with it, or spread over processes.

`offload(fn)` runs CPU work in another process, from blocking and from async code. `cooperate`
lets a long loop share its event loop. `spread` runs a function over an iterable in many processes.
"""

from __future__ import annotations

from mergepoint.balance.cooperate import cooperate
from mergepoint.balance.offload import Offloaded, offload
from mergepoint.balance.pool import Pool
from mergepoint.balance.spread import Failed, spread

__all__ = ["Failed", "Offloaded", "Pool", "cooperate", "offload", "spread"]
