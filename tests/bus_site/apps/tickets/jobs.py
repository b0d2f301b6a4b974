"""Tasks of the tickets app; every start and end leaves a line, so that a test can count them."""

import os
import time
from pathlib import Path

import mergepoint

site = mergepoint.connect()
RELEASE = "one"


def note(line):
    with Path("runs.txt").open("a") as stream:
        stream.write(line + "\n")


@site.tasks.task
def report(name, hold_s=0.0):
    note(f"began {name} {os.getpid()} {RELEASE}")
    # The second run of a report need not wait: the first was killed to see it come again.
    time.sleep(hold_s if Path("runs.txt").read_text().count(f"began {name} ") == 1 else 0.0)
    note(f"ended {name} {RELEASE}")
    return {"name": name, "release": RELEASE}


@site.tasks.every(every_s=86400.0)
@site.tasks.every(cron="0 25 * * *")
@site.tasks.task(retries=7, priority=6)
def tidy():
    return "tidied"
