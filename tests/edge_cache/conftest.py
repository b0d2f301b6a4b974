"""Edges with a cache in front of a worker that the test scripts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from mergepoint_testkit.edge import EdgeProcess

from .client import Client, Response
from .hub import Hub
from .sites import Json, cached_site
from .worker import Answer, Asked, Worker


class Stand:
    """An edge, its worker, and the hub where there is one."""

    def __init__(self, edge: EdgeProcess, worker: Worker, hub: Hub | None) -> None:
        self.edge, self.worker, self.hub = edge, worker, hub
        self.client = Client(edge.port())

    def get(self, path: str, **headers: str) -> Response:
        """Get a path; underscores in names of headers are dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.ask("GET", path, named)

    def post(self, path: str) -> Response:
        """Write something."""
        return self.client.ask("POST", path, content=b"x")


Start = Callable[..., Stand]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start an edge in front of a worker; with `hub` it follows one."""
    with ExitStack() as stack:

        def begin(
            answer: Callable[[Asked], Answer],
            *,
            app: Json | None = None,
            hub: Hub | None = None,
            **cache: object,
        ) -> Stand:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mp-")))
            worker = stack.enter_context(Worker(answer))
            feed = f"unix:{hub.path}" if hub else None
            edge = stack.enter_context(EdgeProcess(folder))
            edge.start(cached_site(worker.address, app=app, feed=feed, **cache))
            stand = Stand(edge, worker, hub)
            if hub:
                hub.wait_for("pull")
            return stand

        yield begin


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub whose log the test writes."""
    with tempfile.TemporaryDirectory(prefix="mp-") as name, Hub(Path(name) / "feed.sock") as one:
        yield one


def status(response: Response) -> str:
    """What the cache says it did."""
    return response.headers.get("cache-status", "")
