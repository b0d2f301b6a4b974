"""Clients of a site that write and read at once, and note what they were told.

Place:  tests.cache_site -> [walkers] -> http.client; mergepoint_testkit.cache_history
Rule:   every client has its own seed; an answer that did not come whole is no answer.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable

from mergepoint_testkit.cache_history import Recorder

from .apps import KEYS

TIMEOUT_S = 20.0
APPS = ("flask", "django")


class Walk:
    """Readers and writers on one site for some seconds; `statuses` counts `Cache-Status`."""

    def __init__(self, port: int, seed: int) -> None:
        self.history = Recorder()
        self.statuses: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.writes = 0
        self._port = port
        self._seed = seed
        self._ends = 0.0

    def run(
        self,
        seconds: float,
        *,
        readers: int = 4,
        writers: int = 2,
        beside: Callable[[], None] | None = None,
    ) -> None:
        """Walk for so long; `beside` is run once in the middle of it."""
        self._ends = time.monotonic() + seconds
        works = [(self._read, f"reader {n}") for n in range(readers)]
        works += [(self._write, f"writer {n}") for n in range(writers)]
        threads = [
            threading.Thread(target=self._loop, args=(work, name), daemon=True)
            for work, name in works
        ]
        for thread in threads:
            thread.start()
        if beside is not None:
            time.sleep(seconds / 3)
            beside()
        for thread in threads:
            thread.join(seconds + 2 * TIMEOUT_S)
            assert not thread.is_alive(), "a client waits for ever"

    def _loop(self, work: Callable[..., None], name: str) -> None:
        choose = random.Random(f"{self._seed} {name}")
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        while time.monotonic() < self._ends:
            try:
                work(connection, name, choose)
            except (OSError, http.client.HTTPException) as error:
                self.failed[type(error).__name__] += 1
                connection.close()
        connection.close()

    def _read(
        self, connection: http.client.HTTPConnection, name: str, choose: random.Random
    ) -> None:
        key, app = str(choose.randint(1, KEYS)), choose.choice(APPS)
        operation = self.history.read_begun(name, key)
        connection.request("GET", f"/{app}/kv/{key}")
        answer = connection.getresponse()
        body = answer.read()
        self.statuses[_short(answer.headers.get("Cache-Status", "none"))] += 1
        if answer.status == 200:
            self.history.read(operation, int(body))
        else:
            self.failed[str(answer.status)] += 1

    def _write(
        self, connection: http.client.HTTPConnection, name: str, choose: random.Random
    ) -> None:
        key, app = str(choose.randint(1, KEYS)), choose.choice(APPS)
        operation = self.history.write_begun(name, key)
        connection.request("POST", f"/{app}/kv/{key}", body=b"", headers={"Content-Length": "0"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == 200:
            self.writes += 1
            self.history.acknowledged(operation, int(body))
        else:
            self.failed[str(answer.status)] += 1
        time.sleep(choose.uniform(0.0, 0.02))


def _short(status: str) -> str:
    return ";".join(part.strip() for part in status.split(";")[1:2]) or status
