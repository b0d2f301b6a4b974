"""Tasks as Django's documentation writes them."""

import time

try:
    from django.tasks import task
except ImportError:
    from django_tasks import task


@task
def add(a: int, b: int) -> int:
    return a + b


@task(priority=50, queue_name="mail")
async def greet(name: str) -> str:
    return f"hello {name}"


@task(takes_context=True)
def attempt(context, word: str) -> list:
    return [word, context.attempt, context.task_result.id]


@task
def fail(text: str) -> None:
    raise KeyError(text)


@task
def slow() -> float:
    time.sleep(0.2)
    return 0.2
