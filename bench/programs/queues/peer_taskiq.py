"""Taskiq on Redis streams or RabbitMQ.

Place:  bench.queues -> [peer_taskiq] -> a broker
Rule:   its own defaults but for the number of processes and of tasks at once.
"""

import asyncio
import os

import work

URL = os.environ["BENCH_BROKER"]
if URL.startswith("redis"):
    from taskiq_redis import RedisStreamBroker

    broker = RedisStreamBroker(url=URL)
else:
    from taskiq_aio_pika import AioPikaBroker

    broker = AioPikaBroker(URL)


@broker.task
def count() -> None:
    """Count."""
    work.count()


@broker.task
def hold(name: str, seconds: float) -> None:
    """Hold."""
    work.hold(name, seconds)


def enqueue(number: int) -> None:
    """Enqueue one by one."""

    async def run() -> None:
        await broker.startup()
        for _ in range(number):
            await count.kiq()
        await broker.shutdown()

    asyncio.run(run())


def enqueue_hold(name: str, seconds: float) -> None:
    """Enqueue one job that holds."""

    async def run() -> None:
        await broker.startup()
        await hold.kiq(name, seconds)
        await broker.shutdown()

    asyncio.run(run())


def worker() -> None:
    """Run the worker until it is killed."""
    size = os.environ["BENCH_CONCURRENCY"]
    argv = ["taskiq", "worker", "peer_taskiq:broker", "-w", "1", "--max-async-tasks", size,
            "--log-level", "ERROR"]  # fmt: skip
    work.become(argv)
