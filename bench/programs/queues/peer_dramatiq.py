"""Dramatiq on Redis or RabbitMQ.

Place:  bench.queues -> [peer_dramatiq] -> a broker
Rule:   its own defaults but for the number of processes and threads.
"""

import os

import dramatiq
import work

URL = os.environ["BENCH_BROKER"]
if URL.startswith("redis"):
    from dramatiq.brokers.redis import RedisBroker

    dramatiq.set_broker(RedisBroker(url=URL))
else:
    from dramatiq.brokers.rabbitmq import RabbitmqBroker

    dramatiq.set_broker(RabbitmqBroker(url=URL))


@dramatiq.actor
def count() -> None:
    """Count."""
    work.count()


@dramatiq.actor
def hold(name: str, seconds: float) -> None:
    """Hold."""
    work.hold(name, seconds)


def enqueue(number: int) -> None:
    """Enqueue one by one."""
    for _ in range(number):
        count.send()


def enqueue_hold(name: str, seconds: float) -> None:
    """Enqueue one job that holds."""
    hold.send(name, seconds)


def worker() -> None:
    """Run the worker until it is killed."""
    argv = ["dramatiq", "peer_dramatiq", "-p", "1", "-t", os.environ["BENCH_CONCURRENCY"]]
    work.become(argv)
