"""What the edge is told of identity, and what `explain` says of it.

Place:  make test
Rule:   the document is a golden file that the Rust side parses; written anew by
        REGENERATE=1 pytest tests/edge_python/test_identity.py; read the difference.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mergepoint.core.endpoints import SlotEndpoint
from mergepoint.edge.compile import compile_snapshot
from mergepoint.edge.identity import EdgeKeys
from mergepoint.edge.routes import Explanation, explain
from mergepoint.manifest.load import load_site
from mergepoint.manifest.site import Site

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "snapshot" / "valid" / "identity.json"
MANIFEST = """\
[site]
name = "acme"

[identity]
require = "user"

[roles.reader]
permissions = "tickets.read"

[roles.editor]
includes = "reader"
permissions = "tickets.edit"

[apps.tickets]
wsgi = "tickets:app"
require = "permission:tickets.read"
csrf_exempt = "/hooks"
identity_headers = { X-WebAuth-User = "user", X-WebAuth-Groups = "groups" }
guards = [
  { path = "/admin", require = ["role:admin", "group:ops"] },
  { path = "/edit", methods = ["POST", "DELETE"], require = "permission:tickets.edit" },
  { path = "/help", require = "public" },
]

[apps.files]
static = "public"

[apps.old]
redirect = "/tickets"
require = "public"

[apps.console]
command = "sh serve {port}"
cookies = "share"
authorization = "pass"
"""
KEYS = EdgeKeys(
    "e1", bytes(range(32)), (("e0", base64.urlsafe_b64encode(bytes(32))[:43].decode()),)
)
ALICE: dict[str, Any] = {
    "sub": "id-alice",
    "user": "alice",
    "name": "Alice Ö",
    "email": "",
    "kind": "person",
    "roles": ["editor"],
    "groups": ["ops", "a,b"],
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "tickets.py").write_text("app = None\n")
    (tmp_path / "public").mkdir()
    file = tmp_path / "mergepoint.toml"
    file.write_text(MANIFEST)
    return load_site(file, profile="development", environ={"PATH": "/usr/bin:/bin"})


def compiled(site: Site) -> dict[str, Any]:
    names = ("tickets", "accounts", "console")
    endpoints = {n: [SlotEndpoint(0, f"unix:/srv/acme/run/{n}.0.g1.sock")] for n in names}
    return compile_snapshot(site, endpoints, {}, 3, {}, bytes(range(32)), KEYS)


def test_the_document_is_the_golden_one(site: Site) -> None:
    text = json.dumps(compiled(site), indent=2, ensure_ascii=False) + "\n"
    found = text.replace(str(site.directory), "/srv/acme")

    if os.environ.get("REGENERATE") == "1":
        GOLDEN.write_text(found)

    assert found == GOLDEN.read_text()


def test_the_edge_takes_it(site: Site, edge_binary: Path, tmp_path: Path) -> None:
    file = tmp_path / "snapshot.json"
    file.write_text(json.dumps(compiled(site)))
    checked = subprocess.run(
        [edge_binary, "--check", file], capture_output=True, text=True, timeout=10, check=False
    )

    assert checked.returncode == 0, checked.stderr


def test_every_app_says_who_may_use_it_and_none_does_without_identity(site: Site) -> None:
    apps = compiled(site)["apps"]
    bare = replace(
        site, identity=None, apps={n: replace(a, access=None) for n, a in site.apps.items()}
    )
    without = compile_snapshot(bare, {}, {}, 1, {}, bytes(32))

    assert {name: app["access"]["require"] for name, app in apps.items()} == {
        "accounts": ["public"],
        "console": ["role:admin"],
        "files": ["user"],
        "old": ["public"],
        "tickets": ["permission:tickets.read"],
    }
    assert apps["accounts"]["access"]["cookies"] == "share", "its session is for the whole host"
    assert "identity" not in without
    assert not any("access" in app for app in without["apps"].values())


def test_a_site_with_identity_is_not_compiled_without_keys(site: Site) -> None:
    with pytest.raises(ValueError, match="keys"):
        compile_snapshot(site, {}, {}, 1, {}, bytes(32))


def test_a_token_is_renewed_after_half_its_life_and_the_edge_takes_the_longest(
    site: Site, edge_binary: Path, tmp_path: Path
) -> None:
    assert site.identity is not None
    half = compiled(replace(site, identity=replace(site.identity, token_life_s=60.0)))
    longest = compiled(replace(site, identity=replace(site.identity, token_life_s=1800.0)))
    file = tmp_path / "snapshot.json"
    file.write_text(json.dumps(longest))

    assert half["identity"]["refresh_before_s"] == 30.0
    checked = subprocess.run([edge_binary, "--check", file], capture_output=True, timeout=10)
    assert checked.returncode == 0, checked.stderr


def told(site: Site, path: str, claims: dict[str, Any] | None, method: str = "GET") -> Explanation:
    return explain(site, f"http://localhost:8000{path}", method, {}, claims)


@pytest.mark.parametrize(
    ("path", "method", "claims", "verdict", "by", "line"),
    [
        ("/tickets/", "GET", None, "needs_proof", "require", 16),
        ("/tickets/", "GET", ALICE, "allowed", "require", 16),
        ("/tickets/help/x", "GET", None, "allowed", "guard /help", 22),
        ("/tickets/admin", "GET", ALICE, "allowed", "guard /admin", 20),
        ("/tickets/%61dmin", "GET", None, "needs_proof", "guard /admin", 20),
        ("/tickets/edit/1", "DELETE", ALICE, "allowed", "guard /edit POST DELETE", 21),
        ("/tickets/edit/1", "GET", ALICE, "allowed", "require", 16),
        ("/console", "GET", ALICE, "forbidden", "require", 4),
        ("/files/a.css", "GET", None, "needs_proof", "require", 5),
        ("/-/accounts/admin/people", "GET", ALICE, "forbidden", "guard /admin", 4),
        ("/-/accounts/login", "GET", None, "allowed", "require", 4),
    ],
)
def test_explain_names_the_guard_and_its_line(
    site: Site, path: str, method: str, claims: Any, verdict: str, by: str, line: int
) -> None:
    judged = told(site, path, claims, method).judged

    assert judged is not None
    assert (judged.verdict, judged.by, judged.origin.line) == (verdict, by, line)


def test_whoever_may_not_pass_is_told_what_the_edge_answers(site: Site) -> None:
    nobody = told(site, "/tickets/admin?a=1", None)
    alice = told(site, "/console", ALICE)

    assert nobody.answer.startswith("303 to /-/accounts/login?next=/tickets/admin%3Fa%3D1 ")
    assert "401 identity.required" in nobody.answer
    assert alice.answer == "403 identity.forbidden"
    assert (nobody.headers, nobody.worker_path, nobody.balance) == ({}, "", "")


def test_whoever_may_pass_is_named_to_the_app(site: Site) -> None:
    headers = told(site, "/tickets/", ALICE).headers

    assert {name: value for name, value in headers.items() if name.startswith(("R", "X-Web"))} == {
        "Remote-User": "alice",
        "Remote-Name": "Alice Ö",
        "Remote-Groups": "editor,ops",
        "X-Webauth-User": "alice",
        "X-Webauth-Groups": "ops",
    }
    assert "Mergepoint-Identity" in headers
    assert "Remote-User" not in told(site, "/tickets/help", None).headers


def test_what_an_app_reads_of_people_does_not_come_from_a_client(site: Site) -> None:
    sent = {"X-WebAuth-User": "admin", "X-WebAuth-Groups": "admin", "X-Other": "1"}
    found = explain(site, "/tickets/help", "GET", sent)

    assert set(found.removed) == {"X-WebAuth-User", "X-WebAuth-Groups"}
    assert "X-Other" in found.headers


def test_proof_of_origin_is_asked_of_unsafe_requests_of_who_is_logged_in(site: Site) -> None:
    def proof(path: str, method: str, claims: Any) -> str:
        judged = told(site, path, claims, method).judged
        assert judged is not None
        return judged.origin_proof

    assert proof("/tickets/", "GET", ALICE) == ""
    assert "csrf.origin" in proof("/tickets/", "POST", ALICE)
    assert proof("/tickets/", "POST", None) == ""
    assert proof("/tickets/hooks/git", "POST", ALICE) == "none: csrf_exempt"
    assert "csrf.origin" in proof("/tickets/hooksy", "POST", ALICE)
    assert "csrf.origin" in proof("/-/accounts/login", "POST", None)
