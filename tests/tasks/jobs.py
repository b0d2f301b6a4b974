"""Tasks that behave, and tasks that do not. What they did stands in files of `MP_TEST_DIR`."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import mergepoint
from mergepoint.tasks import Cancel, Context, Snooze, current

tasks = mergepoint.connect().tasks
DIRECTORY = Path(os.environ.get("MP_TEST_DIR", "."))


def note(name: str, text: str = "x") -> None:
    """Append a line; O_APPEND keeps lines of several processes whole."""
    with (DIRECTORY / name).open("a") as file:
        file.write(f"{text}\n")


@tasks.task(name="add")
def add(a: int, b: int) -> int:
    return a + b


@tasks.task(name="aadd", queue="loop")
async def aadd(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


@tasks.task(name="fail", retries=0)
def fail() -> None:
    raise ValueError("as it was told to")


@tasks.task(name="slow")
def slow(name: str, seconds: float) -> str:
    note(name, f"{os.getpid()}")
    time.sleep(seconds)
    note(f"{name}.done")
    return name


@tasks.task(name="once_killed")
def once_killed(name: str) -> str:
    """Wait for ever the first time, return at once from then on."""
    first = not (DIRECTORY / name).exists()
    note(name, f"{os.getpid()} {time.monotonic()}")
    while first:
        time.sleep(0.05)
    return name


@tasks.task(name="abort", crashes_max=3)
def abort() -> None:
    note("abort", f"{os.getpid()}")
    os.abort()


@tasks.task(name="forever", runs_in="process", timeout_s=0.5, retries=0)
def forever() -> None:
    note("forever", f"{os.getpid()}")
    while True:
        pass


@tasks.task(name="starts", runs_in="process", timeout_s=1, retries=0)
def starts() -> None:
    program = subprocess.Popen(["sleep", "600"])
    note("starts", f"{program.pid}")
    program.wait()


@tasks.task(name="stubborn", timeout_s=0.5, retries=0)
def stubborn() -> None:
    note("stubborn", f"{os.getpid()}")
    while True:
        time.sleep(0.1)


@tasks.task(name="patient", queue="loop", timeout_s=0.5, retries=0)
async def patient() -> None:
    try:
        await asyncio.sleep(3600)
    finally:
        note("patient.ended")


@tasks.task(name="polite")
def polite(ctx: Context) -> None:
    note("polite")
    ctx.wait(3600)


@tasks.task(name="hog")
def hog(megabytes: int) -> int:
    held = bytearray(megabytes * 1024 * 1024)
    kept.append(held)
    return os.getpid()


kept: list[Any] = []


@tasks.task(name="gil")
def gil(seconds: int) -> None:
    """Hold the interpreter's lock in C, so that nothing else of this process runs."""
    note("gil", f"{os.getpid()}")
    ctypes.PyDLL(None).sleep(seconds)


@tasks.task(name="counted")
def counted(ctx: Context) -> None:
    for n in range(5):
        ctx.progress(n + 1, 5, "counting")
    note("counted")
    ctx.wait(3600)


@tasks.task(name="thousand")
def thousand(ctx: Context) -> None:
    for n in range(1000):
        ctx.progress(n + 1, 1000)


@tasks.task(name="whoami")
def whoami(ctx: Context) -> dict[str, Any]:
    task = current()
    return {"same": task is ctx, "request": ctx.extensions.get("mprequestid", "")}


@tasks.task(name="snooze_once")
def snooze_once(name: str) -> Any:
    first = not (DIRECTORY / name).exists()
    note(name)
    return Snooze(0.05) if first else "awake"


@tasks.task(name="pointless")
def pointless() -> Cancel:
    return Cancel("nobody wants it")


@tasks.task(name="effect")
def effect(path: str, ctx: Context) -> None:
    """Write a row and its mark in one commit, then die; the next attempt must not write again."""
    database = sqlite3.connect(path)
    with database, ctx.once("row", database) as first:
        if first:
            database.execute("INSERT INTO effects VALUES (?)", (ctx.id,))
    database.close()
    note("effect")
    if len((DIRECTORY / "effect").read_text().split()) % 2:
        os.kill(os.getpid(), 9)


@tasks.task(name="booked", key="key")
def booked(path: str, key: str, n: int, ctx: Context) -> None:
    """Write a row and its mark in one commit, now and then slowly."""
    database = sqlite3.connect(path, timeout=30)
    with database, ctx.once("row", database) as first:
        if first:
            database.execute("INSERT INTO effects VALUES (?, ?, ?)", (ctx.id, key, n))
    database.close()
    time.sleep(0.005 if n % 10 else 0.1)


@tasks.task(name="marked")
def marked(ctx: Context) -> str:
    with ctx.once("mail") as first:
        if first:
            note("mailed")
    if ctx.attempt == 1:
        raise RuntimeError("after the mail")
    return "sent"


@tasks.task(name="batched", batch=10, queue="batch")
def batched(items: list[int]) -> list[int]:
    note("batched", str(len(items)))
    return [n * 10 for n in items]


@tasks.task(name="keyed", key="key", queue="keyed")
def keyed(key: str, n: int) -> None:
    note(f"key-{key}", f"start {n}")
    time.sleep(0.002)
    note(f"key-{key}", f"end {n}")
