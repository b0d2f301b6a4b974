"""A site with three kinds of worker that repeat what they were told about the client."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mergepoint_testkit.sites import RunningSite, command, running_site

PASSWORD = "correct horse battery staple"
WSGI = """
import json
def app(environ, start):
    who = environ.get("mergepoint.identity")
    told = {"user": environ.get("REMOTE_USER"), "identity": who.user if who else None,
            "auth_type": environ.get("AUTH_TYPE"),
            "headers": {k[5:].replace("_", "-").lower(): v
                        for k, v in environ.items() if k.startswith("HTTP_")}}
    start("200 OK", [("Content-Type", "application/json"), ("X-Told", "yes")])
    environ["wsgi.input"].read()
    return [json.dumps(told).encode()]
"""
ASGI = """
import json
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    who = scope.get("mergepoint", {}).get("identity")
    told = {"user": None, "identity": who.user if who else None, "auth_type": None,
            "headers": {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}}
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/json"), (b"x-told", b"yes")]})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""
PLAIN = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Told(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = {"user": None, "identity": None, "auth_type": None,
                "headers": {k.lower(): v for k, v in self.headers.items()}}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Told", "yes")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *_): pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Told).serve_forever()
"""
MANIFEST = """
[site]
name = "acme"
listen = "127.0.0.1:{port}"
[identity]
[roles.editor]
permissions = ["told.edit"]
[apps.wsgi]
at = "/wsgi"
wsgi = "told_wsgi:app"
identity_headers = {{"X-Grafana-User" = "user"}}
guards = [{{path = "/secret", require = "user"}}, {{path = "/admin", require = "role:admin"}}]
[apps.asgi]
at = "/asgi"
asgi = "told_asgi:app"
guards = [{{path = "/secret", require = "user"}}]
[apps.plain]
at = "/plain"
prefix = "strip"
command = ["{python}", "plain.py"]
guards = [{{path = "/secret", require = "user"}}]
"""
APPS = ("wsgi", "asgi", "plain")
IDENTITY_HEADERS = ("remote-", "mergepoint-", "x-grafana-user", "x-remote-", "x-auth", "x-user")


@dataclass(frozen=True)
class Person:
    """Somebody with an account: what a browser of theirs holds, and an API token."""

    user: str
    session: str
    refresh: str
    token: str


FRESH_S = 240.0
"""A session's token lives ten minutes, and the site may serve for longer than that."""


class Site:
    """The running site, and somebody genuine."""

    def __init__(self, running: RunningSite, alice: Person, signing: Ed25519PrivateKey) -> None:
        self.running = running
        self.signing = signing
        self._alice = alice
        self._logged_in_s = time.monotonic()

    @property
    def alice(self) -> Person:
        """Somebody genuine, whose session is a few minutes old at most."""
        if time.monotonic() - self._logged_in_s > FRESH_S:
            session, refresh = logged_in(self.running, self._alice.user)
            self._alice = replace(self._alice, session=session, refresh=refresh)
            self._logged_in_s = time.monotonic()
        return self._alice

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.running.port}"

    def told(self, app: str, path: str = "/", **kwargs: Any) -> httpx2.Response:
        return httpx2.get(f"{self.url}/{app}{path}", timeout=20, **kwargs)


def claimed(told: dict[str, Any]) -> list[str]:
    """Return everything an app was told about who asks."""
    found = [f"{key}: {told[key]}" for key in ("user", "identity", "auth_type") if told[key]]
    return found + [
        f"{name}: {value}"
        for name, value in told["headers"].items()
        if name.startswith(IDENTITY_HEADERS)
    ]


def run(site: RunningSite, *arguments: str, text: str = "") -> str:
    done = subprocess.run(
        command(site.manifest, *arguments),
        cwd=site.directory, env=site.environment, input=text,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def person(site: RunningSite, user: str, *roles: str) -> Person:
    """Make an account, log it in as a browser would, and make an API token."""
    wanted = [part for role in roles for part in ("--role", role)]
    run(site, "users", "add", user, *wanted, "--password-stdin", text=PASSWORD)
    token = run(site, "tokens", "create", user, "tests")
    session, refresh = logged_in(site, user)
    return Person(user, session, refresh, token)


def logged_in(site: RunningSite, user: str) -> tuple[str, str]:
    """Log in as a browser would; return the cookies of session and refresh."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{site.port}", timeout=30) as browser:
        form = {"user": user, "password": PASSWORD, "next": "/"}
        answer = browser.post("/-/accounts/login", data=form)
        assert answer.status_code == 303, answer.text
        session, refresh = (browser.cookies[f"mergepoint-{k}"] for k in ("session", "refresh"))
    return session, refresh


def signing_key(state: Path) -> Ed25519PrivateKey:
    """Return the key that sessions are signed with: what no forger has."""
    [ring] = state.rglob("keys/session.json")
    seed = json.loads(ring.read_text())["keys"][0]["seed"]
    raw = base64.urlsafe_b64decode(
        seed.replace("+", "-").replace("/", "_") + "=" * (-len(seed) % 4)
    )
    return Ed25519PrivateKey.from_private_bytes(raw)


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("acme")
    for name, text in {"told_wsgi": WSGI, "told_asgi": ASGI, "plain": PLAIN}.items():
        (directory / f"{name}.py").write_text(text)
    manifest = MANIFEST.replace("{{", "{").replace("}}", "}").replace("{python}", sys.executable)
    with running_site(directory, manifest, verb="run") as running:
        alice = person(running, "alice", "editor")
        yield Site(running, alice, signing_key(directory))
