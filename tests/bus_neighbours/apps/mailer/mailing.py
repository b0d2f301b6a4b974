"""A Celery application that knows nothing of Mergepoint."""

import os
import time
from pathlib import Path

from celery import Celery

app = Celery("mailing", broker=os.environ["BROKER"], backend=os.environ["BROKER"])


@app.task
def send(to: str, copies: int = 1) -> str:
    with Path("sent.txt").open("a") as file:
        file.write(f"{to} {copies} {send.request.id}\n")
    return f"sent to {to}"


@app.task
def fail() -> None:
    raise ValueError("no such mailbox")


@app.task
def slow(seconds: float) -> None:
    time.sleep(seconds)
    with Path("sent.txt").open("a") as file:
        file.write("slow 1 -\n")
