"""TLS through the real edge: names, renewal, protocols, and clients that never finish.

Place:  ssl, openssl, curl -> edge -> files
Rule:   certificates are made for each test; nothing is trusted beyond it.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from mergepoint_testkit.certificates import issue
from mergepoint_testkit.edge import EdgeFailed, EdgeProcess

from .conftest import static

RENEWAL_S_MAX = 20.0


def shown(edge: EdgeProcess, name: str | None) -> str:
    """Return the common name of the certificate a client sees that asks for `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", edge.port("https")), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname=name) as secure,
    ):
        der = secure.getpeercert(binary_form=True)
    assert der is not None
    subject = x509.load_der_x509_certificate(der).subject
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@pytest.fixture
def site(start, directory: Path):
    """Start an edge that serves one file over TLS with these certificates."""
    (directory / "public").mkdir()
    (directory / "public" / "a.txt").write_text("secret enough")

    def begin(*certificates: dict[str, str], **fields: object) -> EdgeProcess:
        apps = {"files": static(directory / "public")}
        doors = {"https": {"tls": True}}
        return start(apps, doors=doors, certificates=list(certificates), **fields)

    return begin


def test_the_name_asked_for_chooses_the_certificate(site, directory: Path) -> None:
    edge = site(
        issue(directory, "a", "a.test", common="first"),
        issue(directory, "b", "*.b.test", common="wildcard"),
    )

    names = ("a.test", "x.b.test", "y.x.b.test", "unknown.test", None)
    assert [shown(edge, name) for name in names] == [
        "first",
        "wildcard",
        "first",
        "first",
        "first",
    ]


@pytest.mark.parametrize(("flag", "version"), [("--http1.1", "1.1"), ("--http2", "2")])
def test_a_client_that_checks_gets_the_file(site, directory: Path, flag: str, version: str) -> None:
    places = issue(directory, "a", "a.test", common="a")
    edge = site(places)
    argv = ["curl", "-sS", flag, "--cacert", places["cert"], "-w", " %{http_version}"]
    argv += ["--resolve", f"a.test:{edge.port('https')}:127.0.0.1"]
    argv += [f"https://a.test:{edge.port('https')}/a.txt"]

    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)

    assert (done.stdout, done.stderr) == (f"secret enough {version}", "")


def test_protocols_that_are_broken_are_not_spoken(site, directory: Path) -> None:
    edge = site(issue(directory, "a", "a.test", common="a"))
    for flag, spoken in (("-tls1", False), ("-tls1_1", False), ("-tls1_2", True)):
        argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{edge.port('https')}", flag]
        argv += ["-cipher", "ALL:@SECLEVEL=0"]
        done = subprocess.run(argv, input=b"", capture_output=True, timeout=20, check=False)
        assert (b"BEGIN CERTIFICATE" in done.stdout) is spoken, flag


def until_shown(edge: EdgeProcess, name: str, wanted: str) -> None:
    deadline = time.monotonic() + RENEWAL_S_MAX
    while shown(edge, name) != wanted:
        assert time.monotonic() < deadline, f"{wanted} was not shown in {RENEWAL_S_MAX} s"
        time.sleep(0.2)


def test_a_renewed_certificate_comes_in_by_itself_and_a_broken_one_does_not(
    site, directory: Path
) -> None:
    places = issue(directory, "a", "a.test", common="old")
    edge = site(places)
    assert shown(edge, "a.test") == "old"

    Path(places["cert"]).write_text("not a certificate")
    deadline = time.monotonic() + RENEWAL_S_MAX
    while places["cert"] not in edge.errors():
        assert time.monotonic() < deadline, edge.errors()
        time.sleep(0.2)
    assert shown(edge, "a.test") == "old"

    renewed = issue(directory, "next", "a.test", common="new")
    Path(renewed["key"]).replace(places["key"])
    Path(renewed["cert"]).replace(places["cert"])
    until_shown(edge, "a.test", "new")


def test_a_new_snapshot_brings_new_certificates(site, directory: Path, start) -> None:
    first = issue(directory, "a", "a.test", common="first")
    edge = site(first)
    document = _document(directory)
    second = issue(directory, "b", "b.test", common="second")

    edge.apply({**document, "generation": 2, "certificates": [first, second]})

    assert (shown(edge, "a.test"), shown(edge, "b.test")) == ("first", "second")


def _document(directory: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads((directory / "snapshot.json").read_text())
    return document


def test_a_snapshot_with_a_broken_certificate_is_refused_by_name(site, directory: Path) -> None:
    first = issue(directory, "a", "a.test", common="first")
    other = issue(directory, "b", "b.test", common="other")
    edge = site(first)
    mixed = {"cert": first["cert"], "key": other["key"]}

    with pytest.raises(EdgeFailed) as refused:
        edge.apply({**_document(directory), "generation": 2, "certificates": [mixed]})

    assert other["key"] in str(refused.value)
    assert "does not belong to the certificate" in str(refused.value)
    assert shown(edge, "a.test") == "first"


def test_an_edge_that_cannot_read_its_certificate_does_not_start(site, directory: Path) -> None:
    missing = {"cert": str(directory / "no.pem"), "key": str(directory / "no.key")}

    with pytest.raises(EdgeFailed) as failed:
        site(missing)

    assert missing["cert"] in str(failed.value)


def test_plain_http_on_a_tls_port_is_refused_and_others_are_served(site, directory: Path) -> None:
    edge = site(issue(directory, "a", "a.test", common="a"))
    with socket.create_connection(("127.0.0.1", edge.port("https")), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        heard = b""
        while data := plain.recv(4096):
            heard += data

    assert not heard.startswith(b"HTTP/")
    assert shown(edge, "a.test") == "a"


def asked(edge: EdgeProcess, door: str, path: str, *more: str, host: str = "a.test") -> list[str]:
    """Return the status and the named fields of one answer, without following it."""
    shown = "%{http_code} %header{location} %header{strict-transport-security}"
    scheme = "https" if door == "https" else "http"
    argv = ["curl", "-sS", "-k", "-o", "/dev/null", "-w", shown, *more]
    argv += ["--resolve", f"{host}:{edge.port(door)}:127.0.0.1"]
    argv += [f"{scheme}://{host}:{edge.port(door)}{path}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.split()


@pytest.fixture
def both(start, directory: Path):
    """Start an edge that sends visitors of its plain listener to https:// on this port."""
    challenges = directory / "public/.well-known/acme-challenge"
    challenges.mkdir(parents=True)
    (challenges / "token").write_text("token.thumb")
    (directory / "public" / "a.txt").write_text("secret enough")

    def begin(https_port: int | None = 443, **fields: object) -> EdgeProcess:
        doors = {"http": {"https_port": https_port}, "https": {"tls": True}}
        places = [issue(directory, "a", "a.test", common="a")]
        apps = {"files": static(directory / "public")}
        return start(apps, doors=doors, certificates=places, **fields)

    return begin


def test_a_visitor_over_plain_http_is_sent_to_https_with_path_and_query(both) -> None:
    edge = both()
    assert asked(edge, "http", "/a.txt?b=c%20d") == ["308", "https://a.test/a.txt?b=c%20d"]
    assert asked(edge, "http", "/", "-d", "x=1")[0] == "308"
    assert asked(edge, "https", "/a.txt") == ["200"]


def test_the_way_to_https_names_a_port_that_is_not_the_usual_one(both) -> None:
    assert asked(both(8443), "http", "/none") == ["308", "https://a.test:8443/none"]


def test_a_challenge_of_a_certificate_authority_is_answered_on_plain_http(both) -> None:
    edge = both()
    assert asked(edge, "http", "/.well-known/acme-challenge/token") == ["200"]
    assert (
        asked(edge, "http", "/.well-known/acme-challenge/../../a.txt", "--path-as-is")[0] != "200"
    )


def test_whom_a_trusted_proxy_brought_over_https_is_not_sent_away(both) -> None:
    edge = both(trusted_proxies=["127.0.0.1"], hsts_s=60)
    brought = ("-H", "X-Forwarded-Proto: https")
    assert asked(edge, "http", "/a.txt", *brought) == ["200", "max-age=60"]
    assert asked(edge, "http", "/a.txt")[0] == "308"


def test_nobody_who_is_not_trusted_stays_by_claiming_https(both) -> None:
    assert asked(both(), "http", "/a.txt", "-H", "X-Forwarded-Proto: https")[0] == "308"


def test_browsers_are_told_to_stay_over_https_and_only_there(both) -> None:
    edge = both(None, hsts_s=31536000)
    assert asked(edge, "https", "/a.txt") == ["200", "max-age=31536000"]
    assert asked(edge, "https", "/none") == ["404", "max-age=31536000"]
    assert asked(edge, "http", "/a.txt") == ["200"]
