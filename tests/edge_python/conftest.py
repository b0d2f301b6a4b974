"""The real edge binary for tests that want it, and a rich site.

Place:  tests/edge_python
Rule:   the newest build of this checkout, else the one on PATH; skipped with a reason if none.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from mergepoint_testkit.edge import edge_binary as testkit_edge_binary
from mergepoint_testkit.services import require

from mergepoint.manifest.load import load_site
from mergepoint.manifest.site import Site

ROOT = Path(__file__).resolve().parents[2]

RICH = """\
[site]
name = "acme"
listen = ["127.0.0.1:8000", { address = "127.0.0.1:9000", admin = true }]
trusted_proxies = ["10.0.0.0/8", "::1"]

[apps.front]
asgi = "front:app"
at = "/"
affinity = "sticky"

[apps.tickets]
wsgi = "tickets:app"
ready = "/healthz?deep=1"
affinity = "header:X-Tenant"
body = false

[apps.node]
command = "sh serve {port}"
at = ["/node", "*.example.org/", "[::1]/n"]
affinity = "path:2"
timeout_s = "2m"

[apps.small]
together = [{ path = "/a", asgi = "a:app" }, { path = "/b", wsgi = "b:app" }]
affinity = "cookie:sid"

[apps.far]
http = "http://127.0.0.1:9100"
prefix = "keep"

[apps.files]
static = "public"
fallback = "index.html"

[apps.old]
redirect = { to = "https://example.org/new", status = 301, keep_path = false }
"""


@pytest.fixture
def rich(tmp_path: Path) -> Site:
    for name in ("front.py", "tickets.py", "a.py", "b.py"):
        (tmp_path / name).write_text("app = None\n")
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "index.html").write_text("")
    file = tmp_path / "mergepoint.toml"
    file.write_text(RICH)
    return load_site(file, profile="production", environ={"PATH": "/usr/bin:/bin"})


@pytest.fixture(scope="session")
def edge_binary() -> Path:
    with require("the edge", FileNotFoundError):
        return testkit_edge_binary()
    raise AssertionError("unreachable")
