"""Celery on Redis or RabbitMQ, as its first steps set it up.

Place:  bench.queues -> [peer_celery] -> a broker
Rule:   no option that its own guide does not begin with.
"""

import os

import work
from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_BROKER"])
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True


@app.task
def count() -> None:
    """Count."""
    work.count()


@app.task
def hold(name: str, seconds: float) -> None:
    """Hold."""
    work.hold(name, seconds)


def enqueue(number: int) -> None:
    """Enqueue one by one."""
    for _ in range(number):
        count.delay()


def enqueue_hold(name: str, seconds: float) -> None:
    """Enqueue one job that holds."""
    hold.delay(name, seconds)


def worker() -> None:
    """Run the worker until it is killed."""
    pool = os.environ.get("BENCH_POOL", "prefork")
    size = os.environ["BENCH_CONCURRENCY"]
    argv = ["celery", "-A", "peer_celery", "worker", "-P", pool, "-c", size, "--loglevel", "ERROR"]
    work.become(argv)
