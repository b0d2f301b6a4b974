"""An older release: it knows fewer tasks."""

import mergepoint

tasks = mergepoint.connect().tasks


@tasks.task(name="subtract")
def subtract(a: int, b: int) -> int:
    return a - b
