"""What the wiki does outside of requests: tasks that a process of the site runs.

Place:  telling, config.tasks -> [jobs]
Rule:   needs nothing installed: the site offers `mergepoint` to the wiki's own environment.
"""

from __future__ import annotations

from typing import Any

import mergepoint
from mergepoint.tasks import Backoff, Context

site = mergepoint.connect()


@site.tasks.task(queue="wiki", retries=20, backoff=Backoff(max_s=300))
def publish(topic: str, event: dict[str, Any], ctx: Context) -> None:
    """Tell everybody who listens; told twice, it has the same id."""
    site.bus.publish(topic, event, id=ctx.id)
