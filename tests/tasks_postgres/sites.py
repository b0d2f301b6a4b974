"""A database and runners as real processes; there is no hub at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mergepoint.bus.contract import Limits
from tests.tasks.sites import LIMITS, TaskSite

PATIENT = replace(LIMITS, reconnect_s_max=0.5)


class PostgresSite(TaskSite):
    """As its parent, with everything in one database."""

    module = "tests.tasks.jobs"

    def __init__(self, directory: Path, url: str, limits: Limits = PATIENT) -> None:
        self.url = url
        super().__init__(directory, limits)

    def start_hub(self) -> None:
        """Start nothing."""

    def runner(self, **config: Any) -> Any:
        return super().runner(**{"module": self.module, **config})

    def close(self) -> None:
        self.home.close()
        for started in self.runners:
            started.kill()

    def _bus(self, address: str) -> dict[str, Any]:
        return {"url": self.url, "hub": "", "address": address, "limits": asdict(self.limits)}


@contextlib.contextmanager
def site_on(directory: Path, url: str, module: str = "tests.tasks.jobs") -> Iterator[PostgresSite]:
    site = PostgresSite(directory, url)
    site.module = module
    try:
        yield site
    finally:
        site.close()
