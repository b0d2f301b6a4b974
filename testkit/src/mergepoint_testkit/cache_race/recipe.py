"""How the cache under test is told that a page has changed.

Place:  cache_race.__main__ -> [cache_race.recipe] -> the cache under test
Rule:   a recipe that is not acknowledged is an error, never a result.

`{path}` and `{tag}` stand for the page's path and its tag.
"""

from __future__ import annotations

import http.client
import shlex
import subprocess
from dataclasses import dataclass

REQUEST_S_MAX = 40.0
COMMAND_S_MAX = 20.0


class Unusable(Exception):
    """The cache, or the recipe, does not do what the test needs."""


@dataclass(frozen=True, slots=True)
class Cache:
    """Where the cache under test listens."""

    host: str
    port: int

    def ask(
        self, path: str, method: str = "GET", fields: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send one request on a connection of its own; return status and body."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=REQUEST_S_MAX)
        try:
            connection.request(method, path, headers=fields or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unusable(
                f"{method} {path} at {self.host}:{self.port} got no answer: {error!r}"
            ) from error
        finally:
            connection.close()

    def number(self, path: str) -> int:
        """Return the number a page shows."""
        status, body = self.ask(path)
        if status != 200 or not body.isdigit():
            raise Unusable(f"GET {path} was answered {status} {body[:60]!r}, not by the origin")
        return int(body)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A request to the cache, a command, or the write itself."""

    method: str = ""
    path: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    command: str = ""

    @property
    def writes(self) -> bool:
        """The request is the write: the origin makes it, and its answer says what has changed."""
        return self.method == "POST" and not self.command

    def follow(self, cache: Cache, path: str, tag: str) -> None:
        """Tell the cache, and wait until it has acknowledged that.

        Raises Unusable when it does not: a status of 400 or more, a command that fails.
        """
        if self.command:
            argv = [_filled(word, path, tag) for word in shlex.split(self.command)]
            try:
                subprocess.run(argv, check=True, capture_output=True, timeout=COMMAND_S_MAX)
            except (OSError, subprocess.SubprocessError) as error:
                raise Unusable(f"the command {argv} failed: {error}") from error
            return
        fields = {name: _filled(text, path, tag) for name, text in self.fields}
        target = _filled(self.path, path, tag)
        status, body = cache.ask(target, self.method, fields)
        if status >= 400:
            raise Unusable(f"{self.method} {target} was answered {status} {body[:60]!r}")


def parse(request: str, fields: list[str], command: str) -> Recipe:
    """Read a recipe from the command line: `PURGE {path}`, `Name: text`, or a command."""
    if command:
        return Recipe(command=command)
    method, _, path = request.partition(" ")
    if not method.isalpha() or not path.startswith(("/", "{")):
        raise Unusable(f"{request!r} is not a method and a path, as in 'PURGE {{path}}'")
    pairs = []
    for one in fields:
        name, colon, text = one.partition(":")
        if not colon or not name.strip():
            raise Unusable(f"{one!r} is not a header, as in 'xkey-purge: {{tag}}'")
        pairs.append((name.strip(), text.strip()))
    return Recipe(method.upper(), path, tuple(pairs))


def _filled(text: str, path: str, tag: str) -> str:
    return text.replace("{path}", path).replace("{tag}", tag)
