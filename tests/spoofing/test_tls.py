"""A production site over TLS: the cookies of a session are bound to it, and to TLS."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator

import httpx2
import pytest
from mergepoint_testkit.certificates import issue
from mergepoint_testkit.peers import free_port
from mergepoint_testkit.sites import RunningSite, command, running_site

from .conftest import PASSWORD, WSGI, claimed

MANIFEST = """
[site]
name = "acme"
listen = ["127.0.0.1:{port}", {name = "https", address = "127.0.0.1:TLS_PORT", tls = true}]
[site.tls]
certificates = [{cert = "site.pem", key = "site.key"}]
[identity]
public_url = "https://localhost:TLS_PORT"
[apps.told]
at = "/"
wsgi = "told_wsgi:app"
guards = [{path = "/secret", require = "user"}]
"""


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningSite, str]]:
    """Give a production site and its https address."""
    directory, port = tmp_path_factory.mktemp("tls"), free_port()
    (directory / "told_wsgi.py").write_text(WSGI)
    issue(directory, "site", "localhost", common="localhost")
    with running_site(directory, MANIFEST.replace("TLS_PORT", str(port))) as site:
        subprocess.run(
            command(site.manifest, "users", "add", "alice", "--password-stdin"),
            cwd=directory, env=site.environment, input=PASSWORD, text=True, check=True,
            capture_output=True,
        )  # fmt: skip
        yield site, f"https://localhost:{port}"


@pytest.fixture
def client(secure: tuple[RunningSite, str]) -> Iterator[httpx2.Client]:
    trusted = ssl.create_default_context(cafile=str(secure[0].directory / "site.pem"))
    with httpx2.Client(base_url=secure[1], verify=trusted, http2=True, timeout=30) as client:
        yield client


def log_in(client: httpx2.Client) -> httpx2.Response:
    return client.post("/-/accounts/login", data={"user": "alice", "password": PASSWORD})


def test_the_cookies_are_bound_to_the_host_and_to_tls(client: httpx2.Client) -> None:
    answer = log_in(client)
    assert answer.status_code == 303, answer.text
    cookies = [c for c in answer.headers.get_list("set-cookie") if "mergepoint-" in c]
    sessions = [c for c in cookies if c.startswith("__Host-mergepoint-")]
    assert {c.split("=")[0] for c in sessions} >= {
        "__Host-mergepoint-session",
        "__Host-mergepoint-refresh",
    }
    for cookie in sessions:
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= parts
        assert not any(part.startswith("domain") for part in parts)


def test_over_http2_and_tls_the_app_knows_who_asks(client: httpx2.Client) -> None:
    assert client.get("/secret").status_code == 401
    log_in(client)
    answer = client.get("/secret")
    assert answer.http_version == "HTTP/2"
    assert answer.json()["user"] == answer.json()["identity"] == "alice"


def test_the_same_cookies_prove_nobody_without_tls(
    secure: tuple[RunningSite, str], client: httpx2.Client
) -> None:
    log_in(client)
    plain = f"http://127.0.0.1:{secure[0].port}"
    cookie = f"__Host-mergepoint-session={client.cookies['__Host-mergepoint-session']}"
    assert claimed(httpx2.get(plain, headers={"Cookie": cookie}, timeout=30).json()) == []
    guarded = httpx2.get(f"{plain}/secret", headers={"Cookie": cookie}, timeout=30)
    assert guarded.status_code == 401


def test_a_log_out_holds_when_it_is_answered(client: httpx2.Client) -> None:
    log_in(client)
    kept = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    assert client.get("/secret").status_code == 200
    origin = {"Origin": str(client.base_url).rstrip("/")}
    assert client.post("/-/accounts/logout", headers=origin).status_code in {200, 303}
    client.cookies.clear()
    assert client.get("/secret", headers={"Cookie": kept}).status_code == 401
