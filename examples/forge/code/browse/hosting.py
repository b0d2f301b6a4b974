"""Git over HTTP: clone and fetch for who may read, push for who may push.

Place:  app -> [hosting] -> backend
Rule:   decides who may do what; every refusal is a sentence that Git shows to its user.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from bottle import HTTPResponse

from browse import backend
from browse.repositories import Listed, listed
from browse.settings import Settings
from mergepoint.identity import Identity, of

log = logging.getLogger("browse")
READ, PUSH = "code.read", "code.push"
SERVICES = {"git-upload-pack": READ, "git-receive-pack": PUSH}
"""What Git asks for, and the permission it takes."""
PUSH_BYTES_MAX = 512 * 1024 * 1024
"""Largest push; Git says so to its user."""
BUSY_RETRY_S = 5
TEXT = "text/plain; charset=utf-8"
Environ = Mapping[str, Any]


class Refusal(Exception):
    """Why Git gets nothing; the message is for the person who typed the command."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers

    def answer(self) -> HTTPResponse:
        """Return it as text, which Git prints after ``remote:``."""
        headers = {"Content-Type": TEXT, "Cache-Control": "no-store", **self.headers}
        return HTTPResponse(self.message + "\n", self.status, headers)


class Hosting:
    """Answers Git's smart protocol for the repositories of one directory."""

    def __init__(self, settings: Settings) -> None:
        self._directory = settings.repositories
        self._backend = backend.Backend(settings.git, settings.path)

    def refs(self, name: str, environ: Environ, service: str) -> HTTPResponse:
        """Answer which branches and tags there are: how every clone and every push begins."""
        return self._answer(name, environ, service, "/info/refs")

    def exchange(self, name: str, environ: Environ, service: str) -> HTTPResponse:
        """Answer a pack, or take one."""
        return self._answer(name, environ, service, f"/{service}")

    def _answer(self, name: str, environ: Environ, service: str, path: str) -> HTTPResponse:
        try:
            entry = found(listed(self._directory), name)
            who = of(environ)
            allow(who, service, entry)
            asked = backend.Asked(
                repository=entry.path.resolve(),
                path=path,
                environ=environ,
                body_bytes=body_bytes(environ),
                user="" if who.anonymous else who.user,
                email=who.email or f"{who.user}@{host_of(environ)}",
                may_push=service == "git-receive-pack",
                push_bytes_max=PUSH_BYTES_MAX,
            )
            answer = self._backend.run(asked)
        except Refusal as refusal:
            return refusal.answer()
        except backend.Busy:
            retry = {"Retry-After": str(BUSY_RETRY_S)}
            return Refusal(503, "Too many Git commands at once; try again.", **retry).answer()
        except backend.Incomplete as error:
            return Refusal(400, f"Nothing was changed: {error}.").answer()
        except backend.Broken as error:
            log.warning("%s: %s", entry.name, error)
            return Refusal(500, "Git could not finish this; the site's log says why.").answer()
        headers = {name: value for name, value in answer.headers if name.lower() != "status"}
        return HTTPResponse(answer.body, answer.status, headers)


def found(entries: list[Listed], name: str) -> Listed:
    """Return the repository of this name, with ``.git`` at its end or without."""
    wanted = name.removesuffix(".git")
    entry = next((entry for entry in entries if entry.name == wanted), None)
    if entry is None:
        raise Refusal(404, f"There is no repository called {wanted}.")
    if entry.trouble:
        raise Refusal(404, f"{wanted} cannot be shown: {entry.trouble}")
    return entry


def allow(who: Identity, service: str, entry: Listed) -> None:
    """Return when this may go on, else raise `Refusal`.

    Who may read is decided before a request comes here: by `require` in the manifest, which
    holds for the pages too.
    """
    if service not in SERVICES:
        raise Refusal(403, "Only Git's smart protocol is spoken here: Git 1.6.6 or later.")
    if SERVICES[service] == READ:
        return
    if who.anonymous:
        # Git asks for a name and a password only after it was refused with this challenge.
        challenge = {"WWW-Authenticate": 'Basic realm="Git", charset="UTF-8"'}
        raise Refusal(401, "Pushing needs an API token as the password.", **challenge)
    if not who.may(PUSH):
        raise Refusal(403, f"{who.user} may not push: that needs the permission {PUSH}.")
    if not entry.bare:
        raise Refusal(403, f"{entry.name} is somebody's working copy here; it takes no pushes.")


def body_bytes(environ: Environ) -> int:
    """Return the length of the body; none at all for a GET. Raise `Refusal` without one."""
    if environ["REQUEST_METHOD"] != "POST":
        return 0
    told = str(environ.get("CONTENT_LENGTH") or "")
    if not (told.isascii() and told.isdigit()):
        raise Refusal(411, "The request has no length.")
    if int(told) > PUSH_BYTES_MAX:
        size, most = int(told) >> 20, PUSH_BYTES_MAX >> 20
        raise Refusal(413, f"{size} MiB; a push may have up to {most} MiB.")
    return int(told)


def host_of(environ: Environ) -> str:
    """Return the name of this host without its port, for addresses nobody reads mail at."""
    host = str(environ.get("HTTP_HOST") or environ.get("SERVER_NAME") or "localhost")
    name = host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0]
    return "".join(char for char in name if char.isascii() and (char.isalnum() or char in ".-:"))
