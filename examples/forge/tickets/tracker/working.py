"""What a process of tasks does for the tickets: the tasks themselves, and listening beside them.

Place:  mergepoint.toml -> [working] -> jobs, hearing
Rule:   imported by processes that run tasks, by nobody else.
"""

from tracker import hearing
from tracker.jobs import site

hearing.start(site)
