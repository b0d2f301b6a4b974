"""Fetch a repository with Git: bounded in size and time, told of while it runs, and stoppable.

Place:  jobs -> [fetching] -> git clone
Rule:   made beside its place and moved there whole; what Git says goes to the reader in one line.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from browse.settings import Settings
from browse.sources import Source
from mergepoint.tasks import Context

REPOSITORY_BYTES_MAX = 512 * 1024 * 1024
FETCH_S_MAX = 900.0
LOOK_S = 0.25
"""Between two looks at the size, the clock, and whether anybody cancelled."""
MARK = "forge-import"
DONE = re.compile(r"([A-Z][a-z ]+):\s+(\d{1,3})%")
READ_BYTES = 4096


class Impossible(Exception):
    """This repository cannot be had, now or later; the message is for whoever asked."""


@dataclass(slots=True)
class Progress:
    """How far the import of a repository has come; kept inside it, for whoever goes on with it."""

    task: str
    handed: int = 0
    new: int = 0


def progress_of(place: Path) -> Progress | None:
    """Return how far an import came; None for a repository that was not imported."""
    try:
        return Progress(**json.loads((place / MARK).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def keep_progress(place: Path, progress: Progress) -> None:
    """Note how far it came; whole or not at all."""
    unfinished = place / f"{MARK}.part"
    unfinished.write_text(json.dumps(asdict(progress)))
    unfinished.replace(place / MARK)


def fetch(source: Source, place: Path, ctx: Context, settings: Settings) -> None:
    """Clone into `place`; raise `Impossible`, and `TaskInterrupted` when it was cancelled."""
    if place.exists():
        raise Impossible(f"There is something called {source.name} already.")
    directory = settings.repositories
    directory.mkdir(parents=True, exist_ok=True)
    for left in directory.glob(f".import-{ctx.id}-*"):
        shutil.rmtree(left, ignore_errors=True)  # of a process that died in the middle
    unfinished = directory / f".import-{ctx.id}-{os.getpid()}"
    try:
        _clone(source.url, unfinished, ctx, settings)
        (unfinished / "description").write_text(f"Imported from {source.url}\n")
        keep_progress(unfinished, Progress(ctx.id))
        try:
            unfinished.rename(place)
        except OSError:
            raise Impossible(f"There is something called {source.name} by now.") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _clone(url: str, into: Path, ctx: Context, settings: Settings) -> None:
    # A host that may be asked must not send us to one that may not.
    argv = [settings.git, "-c", "http.followRedirects=false", "clone", "--bare", "--progress"]
    argv += ["--no-local", "--", url, str(into)]
    environment = {
        "PATH": settings.path,
        "HOME": str(into.parent),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": url.partition(":")[0],
        "LC_ALL": "C",
    }
    end_s = time.monotonic() + FETCH_S_MAX
    with _running(argv, environment) as process:
        said = ""
        for text in _lines(process):
            ctx.check()
            if time.monotonic() > end_s:
                raise Impossible(f"It took longer than {FETCH_S_MAX / 60:.0f} minutes.")
            if (size := _bytes(into)) > REPOSITORY_BYTES_MAX:
                most = REPOSITORY_BYTES_MAX >> 20
                raise Impossible(f"{size >> 20} MiB; a repository may have up to {most} MiB.")
            said = (said + text)[-READ_BYTES:]
            if found := DONE.findall(said):
                phase, percent = found[-1]
                ctx.progress(float(percent), 100, f"Fetching: {phase.lower()}")
        if process.wait():
            raise Impossible(f"Git says: {_reason(said)}")


@contextmanager
def _running(argv: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run Git until the block ends, however that does; if we are killed, its pipe breaks."""
    with subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yield what Git writes, and nothing every `LOOK_S` seconds, until it ends."""
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while True:
            if not selector.select(LOOK_S):
                yield ""
            elif data := os.read(process.stderr.fileno(), READ_BYTES):
                yield data.decode("utf-8", "replace")
            else:
                return


def _reason(said: str) -> str:
    lines = [line.strip() for line in re.split(r"[\r\n]+", said) if line.strip()]
    fatal = [line.partition(": ")[2] for line in lines if line.startswith(("fatal: ", "error: "))]
    return (fatal or lines or ["nothing"])[0][:300]


def _bytes(directory: Path) -> int:
    size = 0
    for folder, _, files in os.walk(directory):
        for file in files:
            try:
                size += os.lstat(os.path.join(folder, file)).st_size  # noqa: PTH118 - many of them
            except FileNotFoundError:
                continue  # Git renames its packs while we look
    return size
