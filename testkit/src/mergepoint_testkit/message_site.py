"""A running site with a bus, and what tests ask of it: over HTTP and by commands, as people do.

Place:  tests/bus_site -> [message_site] -> sites
Rule:   nothing is reached into; waiting has one bound, and failing shows what the site said.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mergepoint.manifest.rundir import run_dir_of
from mergepoint.supervisor.client import connect
from mergepoint_testkit.sites import RunningSite, running_site

WAIT_S = 45.0
POLL_S = 0.05
MANIFEST = """
[site]
name = "acme"
listen = "127.0.0.1:{port}"

[bus]

[apps.tickets]
wsgi = "tickets:app"
directory = "tickets"
processes = 1
tasks = "jobs"

[apps.search]
asgi = "search:app"
directory = "search"
venv = "{venv}"
processes = 1

[apps.wiki]
wsgi = "wiki:app"
directory = "wiki"
processes = 1

[[subscriptions]]
on = "tickets.created"
app = "wiki"
post = "/hooks"

[[schedules]]
task = "jobs.report"
cron = "15 3 * * *"
timezone = "Europe/Berlin"
"""

Json = dict[str, Any]


class MessageSite:
    """The site and its doors."""

    def __init__(self, running: RunningSite) -> None:
        self.running = running
        self.directory = running.directory

    def ask(self, method: str, path: str, value: Any = None) -> Any:
        """Return the JSON answer of a request through the edge; raise `AssertionError` if bad."""
        status, body = self.answer(method, path, value)
        assert status < 300, (status, body)
        return json.loads(body)

    def answer(self, method: str, path: str, value: Any = None) -> tuple[int, bytes]:
        """Return status and body of a request through the edge."""
        connection = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=30)
        headers = {"Content-Type": "application/json"}
        try:
            connection.request(method, path, None if value is None else json.dumps(value), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command and return what it wrote to stdout, or to stderr when it failed."""
        done = self.running.run(*arguments, check=False)
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def json(self, *arguments: str) -> Json:
        """Run a command with ``--json`` and return its document."""
        document: Json = json.loads(self.run(*arguments, "--json"))
        return document

    def service(self, name: str) -> Json:
        """Return one of the services from ``status``."""
        found: Json = self.status()["services"][name]
        return found

    def status(self) -> Json:
        """Return the status by the socket that the command asks, too: tests ask often."""
        state_dir = self.directory / ".mergepoint"
        run_dir = run_dir_of(state_dir, self.running.environment, os.geteuid())

        async def talk() -> Json:
            async with connect(run_dir) as client:
                answer: Json = await client.ask("status")
                return answer

        return asyncio.run(talk())

    def pid(self, service: str) -> int:
        """Return the process id of a service's first ready slot, waiting for one."""
        return int(self.until(lambda: self._pid(service), f"{service} has a ready process"))

    def _pid(self, service: str) -> int | None:
        slots = self.service(service)["slots"]
        return next((slot["pid"] for slot in slots if slot["state"] == "ready"), None)

    def lines(self, file: str) -> list[str]:
        """Return the lines of a file of an app; [] while there is none."""
        path = self.directory / file
        return path.read_text().splitlines() if path.exists() else []

    def heard(self) -> list[Json]:
        """Return what the search app has heard."""
        heard: list[Json] = self.ask("GET", "/search/")["heard"]
        return heard

    def until(self, condition: Callable[[], Any], what: str, seconds: float = WAIT_S) -> Any:
        """Return what `condition` gives once it is true; raise with the site's log otherwise."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(POLL_S)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.running.output[-6000:]}")


@contextlib.contextmanager
def message_site(
    directory: Path,
    venv: Path,
    manifest: str = MANIFEST,
    *,
    verb: str = "start",
    environment: Mapping[str, str] | None = None,
) -> Iterator[MessageSite]:
    """Run the site until the block ends; ready when the block begins."""
    text = manifest.replace("{venv}", str(venv))
    with running_site(directory, text, verb=verb, environment=environment) as running:
        yield MessageSite(running)
