"""An older release: it knows fewer tasks."""

from tests.tasks.homes import tasks_here

tasks = tasks_here()


@tasks.task(name="subtract")
def subtract(a: int, b: int) -> int:
    return a - b
