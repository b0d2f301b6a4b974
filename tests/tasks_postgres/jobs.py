"""Tasks whose effects and end are one commit, and an app that asks for them in its own."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time

import psycopg

import mergepoint
from mergepoint.tasks import Context

tasks = mergepoint.connect().tasks
URL = json.loads(os.environ["MERGEPOINT_BUS"])["url"]


def die(share: float) -> None:
    """Die with this share of chances, as a process does that is killed."""
    if random.random() < share:
        os.kill(os.getpid(), signal.SIGKILL)


@tasks.task(name="ship", queue="test", retries=1000, crashes_max=1000)
def ship(order: str, share: float, ctx: Context) -> str:
    """Ship once, whatever dies when."""
    with psycopg.connect(URL) as connection:
        connection.execute("INSERT INTO shipped VALUES (%s, %s)", (order, ctx.id))
        die(share)
        ctx.complete(connection, f"shipped {order}")
        die(share)
    die(share)
    return "this is told too late to change anything"


def shop(name: str) -> None:
    """Take orders until killed; an order and its task are one commit."""
    number = 0
    while True:
        try:
            with psycopg.connect(URL) as connection:
                while True:
                    number += 1
                    order = f"{name}-{number}"
                    with connection.transaction():
                        connection.execute("INSERT INTO orders VALUES (%s)", (order,))
                        ship.with_options(connection=connection).enqueue(order, 0.02)
                        if number % 10 == 0:
                            raise psycopg.Rollback
                    time.sleep(0.02)
        except psycopg.OperationalError:
            time.sleep(0.05)


if __name__ == "__main__":
    shop(sys.argv[1])
