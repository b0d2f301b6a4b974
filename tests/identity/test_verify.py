"""A token that somebody else checks: only what the site signed, for this app, now."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey
from mergepoint_testkit.identities import KEY, claims, published, signed

from mergepoint.identity import ANONYMOUS, verify
from mergepoint.identity.verify import TokenRefused, Verifier, VerifierUnavailable

ROOT = Path(__file__).resolve().parents[2]
NEXT = OKPKey.generate_key("Ed25519", {"kid": "e2", "use": "sig", "alg": "EdDSA"})
STRANGER = OKPKey.generate_key("Ed25519", {"kid": "e1"})


class Keys(ThreadingHTTPServer):
    """Serves a key set that tests change, and counts how often it was fetched."""

    body = b""
    fetched = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/.well-known/mergepoint/jwks.json"


class Handler(BaseHTTPRequestHandler):
    server: Keys

    def do_GET(self) -> None:
        self.server.fetched += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def keys() -> Iterator[Keys]:
    with Keys(("127.0.0.1", 0), Handler) as server:
        server.body = json.dumps(published()).encode()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_who_the_site_signed_for_is_known_and_keys_are_fetched_once(keys: Keys) -> None:
    verifier = Verifier(keys.url, "app", "mergepoint:site")

    for user in ("ada", "bob"):
        assert verifier.identity(signed(claims(user, roles=["admin"]))).user == user
    assert verifier.identity("") is ANONYMOUS
    assert verifier.identity(None) is ANONYMOUS
    assert keys.fetched == 1


def unsigned(told: dict[str, Any]) -> str:
    head, payload, _ = signed(told, alg="EdDSA").split(".")
    return f"{'eyJhbGciOiJub25lIiwidHlwIjoibXBpK2p3dCJ9'}.{payload}." if head else ""


def shared(told: dict[str, Any]) -> str:
    """Sign with the public key as if it were a shared secret."""
    secret = OctKey.import_key(str(published()["keys"][0]["x"]))
    head = {"alg": "HS256", "typ": "mpi+jwt", "kid": "e1"}
    return str(jwt.encode(head, told, secret, algorithms=["HS256"]))


def altered(told: dict[str, Any]) -> str:
    own, other = signed(told).split("."), signed({**told, "user": "root"}).split(".")
    return f"{own[0]}.{other[1]}.{own[2]}"


BAD = {
    "another app's": (lambda: signed(claims(app="wiki")), "meant for 'wiki'"),
    "another site's": (lambda: signed(claims(iss="mergepoint:other")), "issued by"),
    "too old": (lambda: signed(claims(exp=claims()["iat"] - 31)), "expired"),
    "without an end": (lambda: signed(claims(exp=None)), "no exp"),
    "a session token": (lambda: signed(claims(), typ="mps+jwt"), "typ is 'mps"),
    "somebody's who signs alike": (lambda: signed(claims(), STRANGER), "not a valid"),
    "of an unknown key": (lambda: signed(claims(), NEXT), "does not publish"),
    "altered": (lambda: altered(claims()), "not a valid"),
    "unsigned": (lambda: unsigned(claims()), "not a valid"),
    "signed with the public key": (lambda: shared(claims()), "not a valid"),
    "nobody's": (lambda: signed(claims(sub="")), "names no sub"),
    "nonsense": (lambda: "nonsense", "not a valid"),
    "endless": (lambda: "a" * 20_000, "at most 16384"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_token_is_refused_with_its_reason_when_it_is(keys: Keys, what: str) -> None:
    make, why = BAD[what]

    with pytest.raises(TokenRefused, match=why):
        Verifier(keys.url, "app", "mergepoint:site").identity(make())


@settings(deadline=None)
@given(st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzABC.=-_ \n\x00ü"), max_size=200))
def test_any_text_is_refused_and_never_breaks(text: str) -> None:
    verifier = Verifier("http://127.0.0.1:9/none", "app")
    verifier._keys = verifier._jose.jwk.KeySet.import_key_set(published())

    if text:
        with pytest.raises(TokenRefused):
            verifier.identity(text)


def test_a_new_key_is_fetched_when_it_is_first_used(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "FETCH_AGAIN_S", 0.0)
    verifier = Verifier(keys.url, "app")
    verifier.identity(signed(claims("ada")))
    keys.body = json.dumps(published(KEY, NEXT)).encode()

    assert verifier.identity(signed(claims("bob"), NEXT)).user == "bob"
    assert keys.fetched == 2


def test_unknown_keys_never_make_it_ask_without_end(keys: Keys) -> None:
    verifier = Verifier(keys.url, "app")
    for _ in range(20):
        with pytest.raises(TokenRefused):
            verifier.identity(signed(claims(), NEXT))

    assert keys.fetched == 1


@pytest.mark.parametrize(
    ("body", "why"),
    [(b"<html>", "Expecting value"), (b"[]", "not a JSON Web Key Set"), (b" " * 70_000, "65536"),
     (b'{"keys": [{"kty": "OKP"}]}', ""), (b'{"keys": [7]}', "not a JSON Web Key Set")],
)  # fmt: skip
def test_what_is_no_key_set_is_a_clear_error(keys: Keys, body: bytes, why: str) -> None:
    keys.body = body

    with pytest.raises(VerifierUnavailable, match=f"no keys from {keys.url}: .*{why}"):
        Verifier(keys.url, "app").identity(signed(claims()))


def test_an_address_nobody_answers_at_and_one_that_is_none_are_named() -> None:
    with pytest.raises(VerifierUnavailable, match=r"no keys from http://127\.0\.0\.1:9/"):
        Verifier("http://127.0.0.1:9/", "app").identity(signed(claims()))
    with pytest.raises(ValueError, match="no http or https address"):
        Verifier("file:///etc/passwd", "app")


def test_without_the_library_it_says_what_to_install() -> None:
    script = (
        "from mergepoint.identity.verify import Verifier, VerifierUnavailable\n"
        "try: Verifier('http://127.0.0.1/', 'app')\n"
        "except VerifierUnavailable as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip

    assert "pip install joserfc" in done.stdout
